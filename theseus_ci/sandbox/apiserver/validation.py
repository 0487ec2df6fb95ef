"""Field validation shared by every kind: names, labels, owners, selectors; and the dispatch."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from theseus_ci.sandbox.apiserver.errors import (
    Cause,
    Object,
    duplicate,
    invalid_value,
    required,
    unsupported,
)

DNS_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
DNS_1035 = re.compile(r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
DNS_SUBDOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
QUALIFIED = re.compile(r"^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$")
LABEL_VALUE = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")
ENV_NAME = re.compile(r"^[ -<>-~]+$")

LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
LABEL_1035_RULE = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
    "alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', "
    "regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
)
SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
KEY_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  "
    "or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
ANNOTATIONS_LIMIT = 256 * 1024
NEGATIVE = "must be greater than or equal to 0"


def dns_label(value: str, path: str) -> Iterator[Cause]:
    if len(value) > 63:
        yield invalid_value(path, value, "must be no more than 63 bytes")
    if not DNS_LABEL.match(value):
        yield invalid_value(path, value, LABEL_RULE)


def dns_1035(value: str, path: str) -> Iterator[Cause]:
    if len(value) > 63:
        yield invalid_value(path, value, "must be no more than 63 bytes")
    if not DNS_1035.match(value):
        yield invalid_value(path, value, LABEL_1035_RULE)


def dns_subdomain(value: str, path: str) -> Iterator[Cause]:
    if len(value) > 253:
        yield invalid_value(path, value, "must be no more than 253 bytes")
    if not DNS_SUBDOMAIN.match(value):
        yield invalid_value(path, value, SUBDOMAIN_RULE)


def path_segment(value: str, path: str) -> Iterator[Cause]:
    """The rule for names of RBAC objects."""
    if value in (".", ".."):
        yield invalid_value(path, value, f"may not be '{value}'")
    for character in "/%":
        if character in value:
            yield invalid_value(path, value, f"may not contain '{character}'")


def qualified_name(key: str, path: str) -> Iterator[Cause]:
    """The rule for label keys and the like: [prefix/]name."""
    prefix, slash, name = key.rpartition("/")
    if slash and (not DNS_SUBDOMAIN.match(prefix) or len(prefix) > 253):
        yield invalid_value(path, key, f"prefix part {SUBDOMAIN_RULE}")
    if not name:
        yield invalid_value(path, key, "name part must be non-empty")
    if len(name) > 63:
        yield invalid_value(path, key, "name part must be no more than 63 bytes")
    if not QUALIFIED.match(name):
        yield invalid_value(path, key, KEY_RULE)


def labels(values: Object, path: str) -> Iterator[Cause]:
    for key, value in values.items():
        yield from qualified_name(key, path)
        if len(value) > 63:
            yield invalid_value(path, value, "must be no more than 63 bytes")
        if not LABEL_VALUE.match(value):
            yield invalid_value(path, value, VALUE_RULE)


def label_selector(selector: Object, path: str) -> Iterator[Cause]:
    yield from labels(selector.get("matchLabels") or {}, f"{path}.matchLabels")
    for index, term in enumerate(selector.get("matchExpressions") or []):
        here = f"{path}.matchExpressions[{index}]"
        operator = term.get("operator", "")
        if operator in ("In", "NotIn"):
            if not term.get("values"):
                yield required(
                    f"{here}.values", "must be specified when `operator` is 'In' or 'NotIn'"
                )
        elif operator in ("Exists", "DoesNotExist"):
            if term.get("values"):
                detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                yield Cause("FieldValueForbidden", f"{here}.values", f"Forbidden: {detail}")
        else:
            yield invalid_value(f"{here}.operator", operator, "not a valid selector operator")
        yield from qualified_name(term.get("key", ""), f"{here}.key")


def non_negative(value: Any, path: str) -> Iterator[Cause]:
    if isinstance(value, int) and value < 0:
        yield invalid_value(path, value, NEGATIVE)


def port_number(value: Any, path: str) -> Iterator[Cause]:
    if isinstance(value, int) and not 1 <= value <= 65_535:
        yield invalid_value(path, value, "must be between 1 and 65535, inclusive")


def one_of(value: Any, options: list[str], path: str) -> Iterator[Cause]:
    if value not in options:
        yield unsupported(path, value, options)


def unique(values: list[Any], path: str, field: str) -> Iterator[Cause]:
    """Causes for every item of `path` whose `field` was there before."""
    seen: set[Any] = set()
    for index, item in enumerate(values):
        value = item.get(field)
        if value in seen:
            yield duplicate(f"{path}[{index}].{field}", value)
        seen.add(value)


NameRule = Callable[[str, str], Iterator[Cause]]


def metadata(obj: Object, *, namespaced: bool, rule: NameRule) -> Iterator[Cause]:
    """Causes for the object's metadata."""
    meta = obj["metadata"]
    name = meta.get("name", "")
    if not name:
        yield required("metadata.name", "name or generateName is required")
    else:
        yield from rule(name, "metadata.name")
    if not namespaced and meta.get("namespace"):
        yield Cause(
            "FieldValueForbidden",
            "metadata.namespace",
            "Forbidden: not allowed on this type",
        )
    yield from labels(meta.get("labels") or {}, "metadata.labels")
    annotations: dict[str, str] = meta.get("annotations") or {}
    for key in annotations:
        yield from qualified_name(key.lower(), "metadata.annotations")
    size = sum(len(key) + len(value.encode()) for key, value in annotations.items())
    if size > ANNOTATIONS_LIMIT:
        yield Cause(
            "FieldValueTooLong",
            "metadata.annotations",
            f"Too long: may not be more than {ANNOTATIONS_LIMIT} bytes",
        )
    for finalizer in meta.get("finalizers") or []:
        yield from qualified_name(finalizer, "metadata.finalizers")
    yield from _owners(meta.get("ownerReferences") or [])


def _owners(owners: list[Object]) -> Iterator[Cause]:
    controllers = 0
    for index, owner in enumerate(owners):
        here = f"metadata.ownerReferences[{index}]"
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                yield invalid_value(f"{here}.{field}", "", f"{field} must not be empty")
        controllers += bool(owner.get("controller"))
    if controllers > 1:
        detail = "Only one reference can have Controller set to true."
        yield invalid_value("metadata.ownerReferences", owners, detail)
