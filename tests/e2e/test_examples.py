"""The examples, by the very commands in their READMEs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.readme_session import Command, Ran, commands_of, run_session, take_down

EXAMPLES = Path(__file__).parents[2] / "examples"
COMPARED = "deployments,services,hpa,virtualservices,destinationrules,leases,configmaps"


class Example:
    """A copy of one example's folder, and what its README's commands said."""

    def __init__(self, name: str, folder: Path) -> None:
        self.folder = folder / name
        self.home = folder / "state"
        shutil.copytree(EXAMPLES / name, self.folder)
        self.ran: list[Ran] = []

    def play(self, commands: list[Command] | None = None) -> None:
        found = commands or commands_of(self.folder / "README.md")
        self.ran = run_session(found, self.folder, self.home)
        for ran in self.ran:
            assert ran.code == ran.command.expected, f"{ran.command.text}\n{ran.output}"
        assert len(self.ran) == len(found), "the session broke off"

    def output(self, text: str) -> str:
        """What the only command that holds `text` said."""
        [found] = [ran.output for ran in self.ran if text in ran.command.text]
        return found

    def dump(self, name: str) -> dict[str, Any]:
        """What a kubectl of our own wrote: what counts of each object, by kind and name."""
        content = json.loads((self.folder / name).read_text(encoding="utf-8"))
        return {
            f"{item['kind']}/{item['metadata']['name']}": (
                item.get("spec"),
                item.get("data"),
                item["metadata"].get("labels"),
                item["metadata"].get("annotations"),
            )
            for item in content["items"]
        }


@pytest.fixture
def bookinfo(tmp_path: Path) -> Iterator[Example]:
    example = Example("bookinfo", tmp_path)
    yield example
    take_down(example.home)


@pytest.fixture
def sock_shop(tmp_path: Path) -> Iterator[Example]:
    example = Example("sock-shop", tmp_path)
    yield example
    take_down(example.home)


def test_bookinfo(bookinfo: Example) -> None:
    bookinfo.play()
    assert "+++ VirtualService bookinfo/reviews" in bookinfo.output("plan --diff")
    assert "released: reviews-v2" in bookinfo.output("theseus-ci run")
    deployments = bookinfo.output("get -n bookinfo deployments")
    assert "reviews-v2 " in deployments
    assert "reviews-v1 " not in deployments
    route = bookinfo.output("get -n bookinfo virtualservice").split("spec:", 1)[1]
    assert "subset: v2" in route
    assert "theseus" not in route
    assert "weight" not in route
    _nothing_is_left(bookinfo, "bookinfo")


def test_sock_shop(sock_shop: Example) -> None:
    commands = commands_of(sock_shop.folder / "README.md")
    [fails] = [place for place, one in enumerate(commands) if one.expected == 1]
    dump = f"kubectl get -n sock-shop {COMPARED} -o json"
    commands.insert(fails + 1, Command(f"{dump} > after.json"))
    commands.insert(fails, Command(f"{dump} > before.json"))
    sock_shop.play(commands)

    refusal = sock_shop.output("# exit code 2")
    assert "NodePort" in refusal
    assert "allowUnmeshed: true" in refusal
    [_, good, _] = [ran for ran in sock_shop.ran if ran.command.text.startswith("theseus-ci run")]
    assert "released: front-end-0.3.13" in good.output
    bad = sock_shop.output("# exit code 1")
    assert "production traffic: 100 % on front-end-0.3.13" in bad
    before, after = sock_shop.dump("before.json"), sock_shop.dump("after.json")
    assert "Deployment/front-end-0.3.13" in before
    assert "Deployment/front-end" not in before
    assert before == after
    _nothing_is_left(sock_shop, "sock-shop")


def _nothing_is_left(example: Example, name: str) -> None:
    """After its last command the folder is as it came."""
    files = {
        path.relative_to(example.folder).as_posix(): path.read_text(encoding="utf-8")
        for path in example.folder.rglob("*")
        if path.is_file() and path.name not in ("before.json", "after.json")
    }
    assert files == {
        path.relative_to(EXAMPLES / name).as_posix(): path.read_text(encoding="utf-8")
        for path in (EXAMPLES / name).rglob("*")
        if path.is_file()
    }
    assert not example.home.exists() or not any(example.home.rglob("*"))
