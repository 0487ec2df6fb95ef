"""The report as a browser without eyes reads it, and the rules that every one of them keeps."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

from theseus_ci.cli import main
from theseus_ci.rollout.state import State, encode

VOID = {"meta", "link", "img", "source", "br"}
LANDMARKS = ("header", "nav", "main", "footer")


@dataclass
class Element:
    """A start tag, and the text within it so far."""

    tag: str
    attributes: dict[str, str]
    inside: tuple[str, ...]  # tags around it
    text: str = ""


@dataclass
class Page(HTMLParser):
    """A parsed page; raises AssertionError for tags that do not nest."""

    source: str
    elements: list[Element] = field(default_factory=list)
    open: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.feed(self.source)
        self.close()
        assert not self.open, f"never closed: {[one.tag for one in self.open]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice: {names}"
        attributes = {name: value or "" for name, value in attrs}
        element = Element(tag, attributes, tuple(one.tag for one in self.open))
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert [one.tag for one in self.open[-1:]] == [tag], f"</{tag}> closes what is not open"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """Elements with that tag and these attributes."""
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
        return [
            one
            for one in self.elements
            if one.tag == tag and wanted.items() <= one.attributes.items()
        ]

    def section(self, key: str) -> str:
        """The text of a section, "" where there is none."""
        return "".join(one.text for one in self.all("section", id=key))


def write(state: State, folder: Path, *options: str) -> int:
    """Run `theseus-ci report` on a state artefact; the exit code."""
    artefact = folder / "theseus-state.json"
    artefact.write_bytes(encode(state))
    where = ["--state", str(artefact), "--reports", str(folder / "reports")]
    return main(["report", *where, *options])


def rendered(state: State, folder: Path) -> Page:
    """The page that `theseus-ci report` writes."""
    assert write(state, folder) == 0
    return Page((folder / "reports" / "html" / "index.html").read_text("utf-8"))


def audit(page: Page, folder: Path) -> None:
    """What holds for every report; `folder` is where it lies."""
    assert page.source.startswith("<!doctype html>")
    assert page.all("html", lang="en")
    assert page.all("title")[0].text
    _no_active_content(page)
    _files(page, folder)
    ids = [one.attributes["id"] for one in page.elements if "id" in one.attributes]
    assert len(ids) == len(set(ids))
    for link in page.all("a"):
        assert link.attributes["href"].removeprefix("#") in ids
    for one in page.elements:
        assert one.attributes.get("aria-labelledby", ids[0]) in ids
    _headings(page)
    for name in LANDMARKS:
        assert len(page.all(name)) == 1, name
    for one in page.all("th"):
        assert one.attributes["scope"] in ("col", "row")
    for table in page.all("table"):
        assert table.attributes["aria-label"]
    for summary in page.all("summary"):
        assert summary.inside[-1] == "details"
    assert page.all("meta", name="viewport")


def _no_active_content(page: Page) -> None:
    for one in page.elements:
        assert one.tag not in ("script", "style", "iframe", "object", "embed", "form", "base")
        for name, value in one.attributes.items():
            assert not name.startswith("on"), name
            assert name != "style"
            if name in ("href", "src", "srcset"):
                assert re.fullmatch(r"#[a-z]+|[a-z0-9-]+\.(svg|css)", value), value


def _files(page: Page, folder: Path) -> None:
    named = {one.attributes["src"] for one in page.all("img")}
    named |= {one.attributes["srcset"] for one in page.all("source")}
    assert {path.name for path in folder.iterdir()} == {"index.html", "style.css", *named}
    for image in page.all("img"):
        assert len(image.attributes["alt"]) > 40, "a picture's text says what it shows"
    for name in named:
        root = ElementTree.parse(folder / name).getroot()
        assert root.find("{*}title") is not None
        for element in root.iter():
            assert element.tag.rpartition("}")[2] not in ("script", "style", "foreignObject")
            assert not {"style", "class", "href"} & set(element.keys())


def _headings(page: Page) -> None:
    levels = [int(one.tag[1]) for one in page.elements if re.fullmatch("h[1-6]", one.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    for before, after in itertools.pairwise(levels):
        assert after <= before + 1, levels
