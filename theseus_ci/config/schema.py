"""theseus.yaml as JSON Schema, for editors: built from the types, our forms and our words.

Run as a module it writes the shipped file: `python -m theseus_ci.config.schema`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import msgspec.inspect as inspected

from theseus_ci.config import names
from theseus_ci.config.docs import DOCS
from theseus_ci.config.plain import to_plain
from theseus_ci.config.types import Config
from theseus_ci.config.workers import MOST_WORKERS
from theseus_ci.quantities import Duration

SHIPPED = Path(__file__).with_name("theseus.schema.json")

_DURATION = r"\s*((\d+(\.\d+)?(ms|s|m|h))+|0)\s*"
_PERCENTAGE = r"\s*\d+(\.\d+)?\s*%\s*"
_REFERENCE = r"[\s\S]*\$\{env:[A-Za-z_][A-Za-z0-9_]*\}[\s\S]*"

_FORMS: dict[str, str] = {
    "Config.service": names.LABEL,
    "Config.namespace": names.LABEL,
    "Config.deployment": names.SUBDOMAIN,
    "Config.previous": names.SUBDOMAIN,
    "Config.virtualServices": names.QUALIFIED,
    "Config.gateways": names.QUALIFIED,
    "Config.entrypoint": names.URL,
    "Config.entrypoints": names.URL,
    "Config.host": names.HOST,
    "Config.probePath": names.PATH,
    "NamedMatch.name": names.FIELD_NAME,
    "StringMatch.exact": r"[\s\S]+",
    "StringMatch.prefix": r"[\s\S]+",
    "StringMatch.regex": r"[\s\S]+",
    "NamedMatch.exact": r"[\s\S]+",
    "NamedMatch.prefix": r"[\s\S]+",
    "NamedMatch.regex": r"[\s\S]+",
    "HttpCheck.path": r"/\S*",
    "HttpCheck.method": names.FIELD_NAME,
    "Request.path": names.PATH,
    "Request.method": names.FIELD_NAME,
    "Load.entrypoint": names.URL,
}
"""What a text (or each text of a list) must look like, beside a reference to the environment."""

_RANGES: dict[str, dict[str, Any]] = {
    "Config.firstReplicas": {"minimum": 1},
    "Waits.consecutive": {"minimum": 1},
    "Bake.rate": {"exclusiveMinimum": 0, "maximum": 1000},
    "HttpExpect.status": {"minimum": 200, "maximum": 599},
    "Retry.attempts": {"minimum": 1},
    "TcpCheck.port": {"minimum": 1, "maximum": 65535},
    "SshCheck.port": {"minimum": 1, "maximum": 65535},
    "SshExpect.exit": {"minimum": 0, "maximum": 254},
    "Performance.rate": {"exclusiveMinimum": 0, "maximum": 100_000},
    "Performance.maxRate": {"exclusiveMinimum": 0, "maximum": 100_000},
    "Performance.connections": {"minimum": 1, "maximum": 10_000},
    "Performance.requests": {"minItems": 1},
    "Request.weight": {"minimum": 1, "maximum": 10_000},
    "Load.workers": {"minimum": 0, "maximum": MOST_WORKERS},
}


def _given(key: str) -> dict[str, Any]:
    return {"required": [key], "properties": {key: {"not": {"type": "null"}}}}


_RULES: dict[str, dict[str, Any]] = {
    "StringMatch": {"oneOf": [_given(key) for key in ("exact", "prefix", "regex")]},
    "NamedMatch": {"oneOf": [_given(key) for key in ("exact", "prefix", "regex")]},
    "TextMatch": {"oneOf": [_given(key) for key in ("exact", "prefix", "contains", "regex")]},
    "Matcher": {"anyOf": [_given(key) for key in ("header", "cookie", "userAgent")]},
    "SmokeCheck": {"oneOf": [_given(key) for key in ("http", "tcp", "ssh", "bash")]},
    "BashCheck": {"oneOf": [_given(key) for key in ("script", "inline")]},
}


def build() -> dict[str, Any]:
    """The schema of theseus.yaml (JSON Schema 2020-12)."""
    definitions: dict[str, Any] = {}
    root = inspected.type_info(Config)
    if not isinstance(root, inspected.StructType):
        raise TypeError("Config is a struct")
    body = _struct(root, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "theseus.yaml",
        "description": "How theseus-ci releases one service.",
        **body,
        "$defs": dict(sorted(definitions.items())),
    }


def text() -> str:
    """The shipped file's content."""
    return json.dumps(build(), indent=2, ensure_ascii=False) + "\n"


def _struct(kind: inspected.StructType, definitions: dict[str, Any]) -> dict[str, Any]:
    name = kind.cls.__name__
    properties = {}
    for field in kind.fields:
        key = f"{name}.{field.encode_name}"
        schema = _type(field.type, key, definitions)
        described = {"description": DOCS[key], **schema, **_default(field)}
        properties[field.encode_name] = described
    return {
        "type": "object",
        "properties": properties,
        "required": [field.encode_name for field in kind.fields if field.required],
        "additionalProperties": False,
        **_RULES.get(name, {}),
    }


def _type(kind: inspected.Type, key: str, definitions: dict[str, Any]) -> dict[str, Any]:
    if isinstance(kind, inspected.UnionType):
        return {"anyOf": [_type(one, key, definitions) for one in kind.types]}
    if isinstance(kind, inspected.StructType):
        name = kind.cls.__name__
        if name not in definitions:
            definitions[name] = {}  # in its place before its own fields, should they refer to it
            definitions[name] = _struct(kind, definitions)
        return {"$ref": f"#/$defs/{name}"}
    if isinstance(kind, inspected.ListType | inspected.VarTupleType):
        items = _type(kind.item_type, key, definitions)
        sizes = {k: v for k, v in _RANGES.get(key, {}).items() if k == "minItems"}
        return {"type": "array", "items": items, **sizes}
    if isinstance(kind, inspected.DictType):
        return {
            "type": "object",
            "additionalProperties": _type(kind.value_type, key, definitions),
        }
    return _simple(kind, key)


def _simple(kind: inspected.Type, key: str) -> dict[str, Any]:
    if isinstance(kind, inspected.CustomType | inspected.StrType):
        form = _FORMS.get(key)
        if isinstance(kind, inspected.CustomType):
            form = _DURATION if issubclass(kind.cls, Duration) else _PERCENTAGE
        return {"type": "string", **({"pattern": _pattern(form)} if form else {})}
    if isinstance(kind, inspected.LiteralType):
        return {"enum": list(kind.values)}
    if isinstance(kind, inspected.IntType | inspected.FloatType):
        ranges = {k: v for k, v in _RANGES.get(key, {}).items() if k != "minItems"}
        return {"type": "integer" if isinstance(kind, inspected.IntType) else "number", **ranges}
    for type_, schema in _PLAIN_TYPES:
        if isinstance(kind, type_):
            return dict(schema)
    raise TypeError(f"{key}: no schema for {kind}")


_PLAIN_TYPES: tuple[tuple[type[inspected.Type], dict[str, Any]], ...] = (
    (inspected.BoolType, {"type": "boolean"}),
    (inspected.NoneType, {"type": "null"}),
    (inspected.AnyType, {}),
)


def _pattern(form: str) -> str:
    return rf"^(?:{form}|{_REFERENCE})$"


def _default(field: inspected.Field) -> dict[str, Any]:
    default = field.default
    if default is msgspec.NODEFAULT or default is None or isinstance(default, msgspec.Struct):
        return {}
    plain = to_plain(default)
    return {} if plain in ([], {}) else {"default": plain}


if __name__ == "__main__":
    SHIPPED.write_text(text(), encoding="utf-8")
