"""The Kubernetes objects in a file, a folder or the standard input, each with where it stands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from theseus_ci.config.document import Document, DocumentError, parse_json, parse_yaml, read_source
from theseus_ci.config.keypath import KeyPath, text_of
from theseus_ci.errors import ManifestError
from theseus_ci.model import Object

_SUFFIXES = (".yaml", ".yml", ".json")
_KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_RENDER = "render it first, as in `helm template … > manifest.yaml`, and give the result"


class Found(msgspec.Struct, frozen=True):
    """An object and its place."""

    object: Object
    document: Document
    path: KeyPath  # inside the document; () unless it stands in a List

    @property
    def where(self) -> str:
        """`k8s/all.yaml:12:1`."""
        return self.at(())

    def at(self, inner: KeyPath) -> str:
        """The place of something inside the object."""
        path = self.path + inner
        mark = self.document.mark(path)
        place = f"{self.document.source}:{mark.line}:{mark.column}"
        return f"{place}: {text_of(path)}" if path else place

    @property
    def title(self) -> str:
        """`Deployment front-end`."""
        return f"{self.object['kind']} {self.object['metadata']['name']}"


def read_objects(path: Path | str) -> list[Found]:
    """Every object, in order; a folder's files by name. Raises ManifestError."""
    found: list[Found] = []
    for file in _files(path):
        source = "<stdin>" if str(file) == "-" else str(file)
        text = ""
        try:
            text = read_source(file)
            documents = list(_documents(text, source))
        except DocumentError as error:
            remedy = f"it looks like a template: {_RENDER}" if "{{" in text else ""
            message = f"{error.at(source)}: {_in_document(text, error)}{error}"
            raise ManifestError(message, remedy=remedy) from error
        for number, document in enumerate(documents, 1):
            found += _objects(document, (), f"document {number}")
    return found


def _files(path: Path | str) -> list[Path | str]:
    if str(path) == "-" or not Path(path).is_dir():
        return [path]
    folder = Path(path)
    for name in _KUSTOMIZATIONS:
        if (folder / name).is_file():
            raise ManifestError(
                f"{folder / name}: a kustomization is not a manifest",
                remedy=f"render it first: `kubectl kustomize {folder} > manifest.yaml`, and give "
                "the result",
            )
    try:
        files = sorted(p for p in folder.iterdir() if p.suffix in _SUFFIXES and p.is_file())
    except OSError as error:
        raise ManifestError(f"{folder}: cannot be read: {error.strerror}") from error
    if not files:
        raise ManifestError(f"{folder}: the folder holds no *.yaml, *.yml or *.json file")
    return list(files)


def _documents(text: str, source: str) -> Iterator[Document]:
    as_json = source.endswith(".json") or text.lstrip()[:1] == "{"
    if as_json:
        try:
            yield from list(parse_json(text, source))
            return
        except DocumentError:
            if source.endswith(".json"):
                raise  # otherwise it may be YAML's own braces
    yield from parse_yaml(text, source)


def _in_document(text: str, error: DocumentError) -> str:
    """`document 3: ` when the text has several."""
    if error.mark is None:
        return ""
    number = 0
    filled = False  # something that is no comment since the last ---
    lines = text.splitlines()
    for line in lines[: error.mark.line]:
        if line.split(" ")[0] == "---":
            number += 1 if number or not filled else 2
            filled = False
        elif line.strip() and not line.startswith("#"):
            filled = True
    return f"document {number}: " if number else ""


def _objects(document: Document, path: KeyPath, title: str) -> Iterator[Found]:
    value: Any = document.value
    for part in path:
        value = value[part]
    if value is None and not path:
        return
    mark = document.mark(path)
    place = f"{document.source}:{mark.line}:{mark.column}: {title}"
    if not isinstance(value, dict):
        raise ManifestError(f"{place}: is no Kubernetes object, which is a mapping")
    for key in ("apiVersion", "kind"):
        if not isinstance(value.get(key), str) or not value[key]:
            raise ManifestError(
                f"{place}: has no {key}",
                remedy="every document of a manifest is a Kubernetes object",
            )
    if value["kind"].endswith("List") and isinstance(value.get("items"), list):
        for index in range(len(value["items"])):
            yield from _objects(document, (*path, "items", index), f"{title}, item {index + 1}")
        return
    metadata = value.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(name, str) or not name:
        raise ManifestError(f"{place}: the {value['kind']} has no metadata.name")
    if "{{" in name:
        raise ManifestError(
            f"{place}: {value['kind']} {name!r} is a template's",
            remedy=f"it is a template: {_RENDER}",
        )
    yield Found(value, document, path)
