"""The theseus.yaml that init writes can be used as it is, and after uncommenting all of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from theseus_ci.config.init_template import WIDTH, Facts, render
from theseus_ci.config.load import load_config
from theseus_ci.config.types import Config, Waits
from theseus_ci.flow import build_plan, load_flow

LABEL = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)
DNS = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?(\.[a-z]{1,5}){0,2}", fullmatch=True)
QUALIFIED = st.one_of(DNS, st.builds("{}/{}".format, LABEL, DNS))
TRICKY = st.sampled_from(["null", "on", "0644", "1e3", "y", "no", "22", "true", "0x1f"])

FACTS = st.builds(
    Facts,
    service=LABEL | TRICKY,
    namespace=LABEL | TRICKY,
    previous=st.none() | DNS | TRICKY,
    replicas=st.none() | st.integers(0, 500),
    manifest=st.none() | st.sampled_from(["k8s", "a b/c: d.yaml", "#x.yaml", "-"]),
    version_label=st.none() | st.sampled_from(["v1", "1.10", "2024-01-01"]),
    has_hpa=st.booleans(),
    virtual_services=st.lists(QUALIFIED, max_size=3, unique=True).map(tuple),
    gateways=st.lists(QUALIFIED, max_size=3, unique=True).map(tuple),
    entrypoint=st.none() | st.sampled_from(["http://127.0.0.1:8080", "https://[::1]:443"]),
    host=st.none() | DNS,
    ports=st.lists(st.integers(1, 65535), max_size=2).map(tuple),
    probe_path=st.none() | st.sampled_from(["/", "/health", "/a?b={c}&d=[e],#f:g"]),
)
UNHURRIED = settings(
    deadline=None,
    max_examples=80,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def uncommented(text: str) -> str:
    return re.sub(r"(?m)^#(?! \S)", "", text)


def load(folder: Path, text: str) -> Config:
    (folder / "theseus.yaml").write_text(text, encoding="utf-8")
    return load_config(folder / "theseus.yaml")


@UNHURRIED
@given(facts=FACTS)
def test_what_init_writes_can_be_used(tmp_path: Path, facts: Facts) -> None:
    text = render(facts)
    config = load(tmp_path, text)
    assert (config.service, config.namespace) == (facts.service, facts.namespace)
    assert (config.entrypoint, config.host) == (facts.entrypoint, facts.host)
    assert config.waits == Waits()
    if facts.gateways and not facts.virtual_services:
        assert config.gateways == facts.gateways
    if facts.probe_path and facts.entrypoint:
        assert config.smoke[0].http is not None
        assert config.smoke[0].http.path == facts.probe_path
    assert build_plan(load_flow(config.flow), config, has_previous=facts.previous is not None)


@UNHURRIED
@given(facts=FACTS)
def test_what_init_comments_out_is_right_too(tmp_path: Path, facts: Facts) -> None:
    text = uncommented(render(facts))
    if facts.probe_path is None or facts.entrypoint is None:
        assert "#  - name" not in text
    config = load(tmp_path, text)
    assert len(config.smoke) == 4
    assert len(config.matchers) == 3
    assert config.performance is not None
    assert config.bake == Config(service="x").bake
    assert config.waits == Waits()
    if facts.virtual_services:
        assert config.virtual_services == facts.virtual_services
    if facts.previous:
        assert config.previous == facts.previous


@pytest.mark.parametrize("previous", ["reviews-v1", None])
def test_every_key_is_there_and_every_line_fits(previous: str | None) -> None:
    text = render(Facts(service="reviews", namespace="bookinfo", previous=previous))
    for key in Config.__struct_encode_fields__:
        assert re.search(rf"(?m)^#?{key}:", text), key
    for key in Waits.__struct_encode_fields__:
        assert re.search(rf"(?m)^#  {key}: ", text), key
    assert max(map(len, text.splitlines())) <= WIDTH
    words = "first release" if previous is None else "reviews-v1 carries the traffic now"
    assert words in text
