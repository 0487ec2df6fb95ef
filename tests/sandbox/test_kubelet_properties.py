"""Properties of the kubelet's parts that hold for any input."""

from __future__ import annotations

import asyncio
import ipaddress
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theseus_ci.sandbox.kubelet.addresses import PodNetwork
from theseus_ci.sandbox.kubelet.downward import parse_quantity
from theseus_ci.sandbox.kubelet.environment import expand, variable_name
from theseus_ci.sandbox.kubelet.images import BUILT_IN, ImageMapError, Images, parse_images
from theseus_ci.sandbox.kubelet.logs import LogFile, read_lines, split_line
from theseus_ci.sandbox.kubelet.recovery import recovered_status
from theseus_ci.sandbox.kubelet.status import ContainerStatus, PodFacts, phase, qos_class


@settings(deadline=None, max_examples=20)
@given(steps=st.lists(st.booleans(), max_size=600))
def test_addresses_in_use_are_never_given_twice(
    tmp_path_factory: pytest.TempPathFactory, steps: list[bool]
) -> None:
    with closing(PodNetwork(tmp_path_factory.mktemp("network"))) as network:
        used: list[str] = []
        for take in steps:
            if take or not used:
                address = network.allocate()
                assert address not in used
                assert ipaddress.ip_address(address) in ipaddress.ip_network("10.128.0.0/9")
                used.append(address)
            else:
                network.release(used.pop(0))


def test_more_pods_than_one_block_holds(tmp_path: Path) -> None:
    with closing(PodNetwork(tmp_path)) as network:
        addresses = {network.allocate() for _ in range(600)}
    assert len(addresses) == 600
    assert len({address.rpartition(".")[0] for address in addresses}) == 3


def test_networks_of_one_directory_and_of_two_do_not_meet(tmp_path: Path) -> None:
    with closing(PodNetwork(tmp_path)) as first, closing(PodNetwork(tmp_path)) as second:
        kept = first.allocate()
        assert kept.rpartition(".")[0] != second.allocate().rpartition(".")[0]
    with closing(PodNetwork(tmp_path)) as again:
        assert again.allocate(kept) == kept


@given(st.text(alphabet="$()AB{} x", max_size=30))
def test_expansion_leaves_what_it_does_not_know(text: str) -> None:
    assert expand(text, {}) == text.replace("$$", "$")


@given(st.text(max_size=20))
def test_variable_names_are_portable(name: str) -> None:
    assert all(sign == "_" or (sign.isascii() and sign.isalnum()) for sign in variable_name(name))


@settings(deadline=None)
@given(
    lines=st.lists(
        st.binary(max_size=200).map(lambda data: data.replace(b"\n", b" ")), max_size=20
    ),
    cut=st.integers(1, 64),
)
def test_a_log_gives_back_what_was_written_however_it_was_cut(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], cut: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "0.log"
    whole = b"".join(line + b"\n" for line in lines)

    async def write() -> None:
        log = LogFile(path, 1 << 20)
        for start in range(0, len(whole), cut):
            log.feed("stdout", whole[start : start + cut])
        log.close()

    asyncio.run(write())
    assert b"".join(split_line(line)[1] for line in read_lines(path)) == whole


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("image: x", "must be a list"),
        ("- x", "images.yaml[0] must be"),
        ("- {image: x}", "images.yaml[0].command is missing"),
        ("- {image: x, command: ls}", "images.yaml[0].command must"),
        ("- {image: 1, command: [ls]}", "images.yaml[0].image must"),
        ("- {image: x, command: [ls], env: {A: 1}}", "images.yaml[0].env must"),
        ("- {image: x, command: [ls], useContainerCommand: 1}", "useContainerCommand must"),
        ("[", "not YAML"),
    ],
)
def test_wrong_image_maps(text: str, where: str) -> None:
    with pytest.raises(ImageMapError) as caught:
        parse_images(text)
    assert where in str(caught.value)


def test_the_first_matching_image_wins() -> None:
    async def look_up() -> None:
        images = Images()
        assert images.find("theseus-ci/demo:2") is BUILT_IN[0]
        images.replace(parse_images("[{image: 'theseus-ci/*:2', command: [mine]}]"))
        found = images.find("theseus-ci/demo:2")
        assert found is not None
        assert found.command == ("mine",)
        assert images.find("theseus-ci/demo") is BUILT_IN[0]
        assert images.find("registry:5000/other") is None

    asyncio.run(look_up())


@pytest.mark.parametrize(
    ("text", "number"), [("1", 1.0), ("500m", 0.5), ("1Ki", 1024.0), ("2G", 2e9), (".5", 0.5)]
)
def test_quantities(text: str, number: float) -> None:
    assert parse_quantity(text) == number


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}, "Burstable"),
    ],
)
def test_qos_class(resources: dict[str, dict[str, str]], expected: str) -> None:
    assert qos_class({"containers": [{"name": "c", "resources": resources}]}) == expected


def running() -> ContainerStatus:
    return ContainerStatus("c", "i", state={"running": {"startedAt": "x"}})


def ended(code: int, *, finished: bool = True) -> ContainerStatus:
    return ContainerStatus("c", "i", state={"terminated": {"exitCode": code}}, finished=finished)


@pytest.mark.parametrize(
    ("containers", "initialized", "expected"),
    [
        ([running()], False, "Pending"),
        ([ContainerStatus("c", "i")], True, "Pending"),
        ([running(), ContainerStatus("c", "i")], True, "Running"),
        ([running(), ended(1)], True, "Running"),
        ([ended(1, finished=False)], True, "Running"),
        ([ended(0), ended(0)], True, "Succeeded"),
        ([ended(0), ended(2)], True, "Failed"),
    ],
)
def test_phase(containers: list[ContainerStatus], initialized: bool, expected: str) -> None:
    facts = PodFacts(containers, [], initialized, "10.128.0.1", "127.0.0.1", "now")
    assert phase(facts) == expected


def test_a_container_that_backed_off_is_started_with_the_next_number() -> None:
    known = {
        "name": "c",
        "restartCount": 4,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": 1}},
    }
    status = recovered_status({"name": "c", "image": "i"}, [known], "Always")
    assert (status.restart_count, status.finished) == (4, False)
    assert status.last_state == {"terminated": {"exitCode": 1}}
