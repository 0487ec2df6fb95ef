"""The schema, the parser and the words for every key say the same."""

from __future__ import annotations

import importlib
import json
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings

from tests.unit.config_documents import FULL, mutated, sound
from theseus_ci.config import docs, reference, rules, schema
from theseus_ci.config.plain import decode_quantity
from theseus_ci.config.types import Config

jsonschema = importlib.import_module("jsonschema")  # has no type stubs
VALIDATOR = jsonschema.Draft202012Validator(schema.build())
UNHURRIED = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])


def _decodes(document: Any) -> Config | None:
    try:
        return msgspec.convert(document, Config, dec_hook=decode_quantity)
    except msgspec.ValidationError:
        return None


def test_the_shipped_schema_is_the_one_that_the_types_give() -> None:
    shipped = schema.SHIPPED.read_text(encoding="utf-8")
    assert shipped == schema.text(), "run python -m theseus_ci.config.schema"
    jsonschema.Draft202012Validator.check_schema(json.loads(shipped))


def test_every_key_is_explained_and_nothing_else() -> None:
    schema.build()  # a KeyError names the key that has no words
    described = schema.build()
    named = {("Config", key) for key in described["properties"]}
    for name, part in described["$defs"].items():
        named |= {(name, key) for key in part["properties"]}
    assert {f"{name}.{key}" for name, key in named} == set(docs.DOCS)
    assert all(text.endswith(".") and "\n" not in text for text in docs.DOCS.values())


def test_the_reference_has_every_key_with_its_default() -> None:
    keys = {key.path: key for key in reference.entries()}
    assert keys["service"].required
    assert keys["waits.mesh"].default == "2m"
    assert keys["smoke[].http.expect.status"].takes == "whole number or list"
    assert keys["matchers[].header[].regex"].meaning == docs.DOCS["NamedMatch.regex"]
    assert reference.markdown().count("\n") == len(list(reference.entries())) + 2


@UNHURRIED
@given(document=sound())
@example(document=FULL)
def test_sound_documents_please_both(document: dict[str, Any]) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(document)] == []
    config = _decodes(document)
    assert config is not None
    assert list(rules.validate(config)) == []


@UNHURRIED
@given(document=mutated())
def test_what_the_schema_refuses_the_parser_refuses(document: dict[str, Any]) -> None:
    config = _decodes(document)
    accepted = config is not None and not list(rules.validate(config))
    if VALIDATOR.is_valid(document):
        assert config is not None, "the types refuse what the schema lets pass"
    else:
        assert not accepted, [error.message for error in VALIDATOR.iter_errors(document)]


@pytest.mark.parametrize(
    "text",
    [
        "service: reviews\nservce: x\n",
        "namespace: x\n",
        "service: reviews\nwaits: {mesh: 30}\n",
        "service: reviews\nmatchers: [{header: {name: x}}]\n",
        "service: reviews\nsmoke: [{name: x, http: {}, tcp: {port: 1}}]\n",
        "service: reviews\nfirstReplicas: 0\n",
    ],
)
def test_an_editor_shows_the_common_mistakes(text: str) -> None:
    assert not VALIDATOR.is_valid(yaml.safe_load(text))
