"""Turning objects into the bytes that the client asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import yaml
from aiohttp import web

from theseus_ci.sandbox.apiserver import tables
from theseus_ci.sandbox.apiserver.errors import Object
from theseus_ci.sandbox.apiserver.listing import Page
from theseus_ci.sandbox.apiserver.request import PARTIAL, PARTIAL_LIST, PLAIN, TABLE, Format
from theseus_ci.sandbox.apiserver.store import Stored
from theseus_ci.sandbox.apiserver.verbs import Target, Verbs

JSON_TYPE = "application/json"


def respond(
    value: Any,
    form: Format = Format(),  # noqa: B008 - frozen
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """An HTTP answer from an object, or from one that is encoded as JSON already."""
    body = value if isinstance(value, bytes) else msgspec.json.encode(value)
    content_type = JSON_TYPE
    if form.yaml:
        body = yaml.dump(msgspec.json.decode(body), Dumper=yaml.CSafeDumper).encode()
        content_type = "application/yaml"
    return web.Response(body=body, status=status, headers=headers, content_type=content_type)


class Presenter:
    """Encodes the objects of one target in one format."""

    def __init__(self, verbs: Verbs, target: Target, form: Format, include: str) -> None:
        self._verbs = verbs
        self._target = target
        self._form = form
        self._include = include or "Metadata"
        self._headers = True

    def _presented(self, stored: Stored) -> Object:
        return self._verbs.presented(self._target.resource, self._target.version, stored.obj)

    def _stored_form(self) -> bool:
        return self._target.version == self._target.resource.storage

    def one(self, stored: Stored) -> bytes:
        """One object, as an answer of its own or in a watch event."""
        if self._form.shape == PLAIN and self._stored_form():
            return stored.encoded
        obj = self._presented(stored)
        if self._form.shape == TABLE:
            version = stored.obj["metadata"].get("resourceVersion", "")
            return self._table([obj], {"resourceVersion": version})
        if self._form.shape in (PARTIAL, PARTIAL_LIST):
            obj = tables.partial(obj)
        return msgspec.json.encode(obj)

    def _table(self, objects: list[Object], metadata: Object) -> bytes:
        made = tables.table(
            self._target.resource,
            self._target.version,
            objects,
            metadata,
            include=self._include,
            headers=self._headers,
        )
        return msgspec.json.encode(made)

    def event(self, stored: Stored) -> bytes:
        """As `one`, but only the first table of a watch has column headers."""
        encoded = self.one(stored)
        self._headers = False
        return encoded

    def bookmark(self, metadata: Object) -> bytes:
        """The object of a bookmark event."""
        if self._form.shape == TABLE:
            encoded = self._table([], metadata)
            self._headers = False
            return encoded
        resource = self._target.resource
        kind, version = resource.kind, resource.api_version(self._target.version)
        if self._form.shape in (PARTIAL, PARTIAL_LIST):
            kind, version = "PartialObjectMetadata", "meta.k8s.io/v1"
        return msgspec.json.encode({"kind": kind, "apiVersion": version, "metadata": metadata})

    def many(self, page: Page) -> bytes:
        """A list."""
        resource = self._target.resource
        if self._form.shape == TABLE:
            return self._table([self._presented(item) for item in page.items], page.metadata)
        kind, version = resource.list_kind, resource.api_version(self._target.version)
        if self._form.shape in (PARTIAL, PARTIAL_LIST):
            kind, version = "PartialObjectMetadataList", "meta.k8s.io/v1"
            items = [msgspec.json.encode(tables.partial(item.obj)) for item in page.items]
        elif resource.custom:
            items = [self.one(item) for item in page.items]
        else:
            items = [item.bare for item in page.items]
        head = msgspec.json.encode({"kind": kind, "apiVersion": version, "metadata": page.metadata})
        return head[:-1] + b',"items":[' + b",".join(items) + b"]}"
