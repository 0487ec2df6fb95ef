"""YAML and JSON text become plain values with the place of everything in them."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from theseus_ci.config.document import DocumentError, Mark, parse_json, parse_yaml, read_source
from theseus_ci.config.keypath import resolve, text_of


def _reads_alike(text: str) -> bool:
    """PyYAML writes 0E0 and -.1 unquoted, which are text to it and numbers to kubectl."""
    return re.match(r"[-+]?\.?[0-9]", text) is None


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: x != int(x))
    | st.text(
        st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="\x7f\x85")
    ).filter(_reads_alike)
)
KEYS = st.text("abcXYZ019._-/ ", min_size=1, max_size=8).filter(_reads_alike)
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4)
)


def one(text: str) -> Any:
    (document,) = parse_yaml(text, "f")
    return document.value


def refusal(text: str) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        list(parse_yaml(text, "f"))
    return caught.value


@settings(deadline=None)
@given(tree=TREES)
def test_what_pyyaml_writes_comes_back(tree: Any) -> None:
    assert one(yaml.safe_dump(tree, allow_unicode=True)) == tree


@settings(deadline=None)
@given(tree=TREES.filter(lambda tree: not isinstance(tree, float)))
def test_json_comes_back_from_both_parsers(tree: Any) -> None:
    text = json.dumps(tree)
    (document,) = parse_json(text, "f")
    assert document.value == tree
    assert one(text) == tree


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("22:22", "22:22"),
        ("2020-01-01", "2020-01-01"),
        ("0644", 0o644),
        ("0o17", 0o17),
        ("0x1F", 31),
        ("-1_000", -1000),
        ("1e3", 1000.0),
        ("1.4.2", "1.4.2"),
        ("08", "08"),
        ("yes", True),
        ("'yes'", "yes"),
        ("!!str 12", "12"),
        ("~", None),
        ("{1: a, true: b}", {"1": "a", "true": "b"}),
        ("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}", {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}}),
    ],
)
def test_scalars_are_read_as_kubectl_reads_them(text: str, value: Any) -> None:
    found = one(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("a:\n\t- b", 2, 1, "tab"),
        ("a: b\n\tc: d", 2, 1, "tab"),
        ("a: [1,\n2\n", 3, 1, "began on line 1"),
        ("a: b: c", 1, 5, "second ':'"),
        ("a: @x", 1, 4, "must be quoted"),
        ("a: {{ x }}", 1, 5, "rendered first"),
        ("a: 1\nb: 2\na: 3", 3, 1, "again (first: line 1)"),
        ("x: *b", 1, 4, "has no anchor"),
        ("&a [*a]", 1, 5, "contains itself"),
        ("a: !!python/name:os.system x", 1, 4, "tag"),
        ("a: !!binary aGk=", 1, 4, "not supported"),
        ("a: .nan", 1, 4, "sent as JSON"),
        ("a: 1e999", 1, 4, "too large"),
        ("a: " + "9" * 5000, 1, 4, "too many digits"),
        ("[" * 500, 1, 102, "nested more than"),
        ("- " * 5000, 1, 203, "nested more than"),
        ("a: ~\n~: b", 2, 1, "a key must be text"),
    ],
)
def test_refusals_name_the_place(text: str, line: int, column: int, words: str) -> None:
    error = refusal(text)
    assert words in str(error)
    assert error.mark == Mark(line, column)
    assert error.at("f.yaml") == f"f.yaml:{line}:{column}"


def test_a_depth_that_the_parser_itself_may_refuse() -> None:
    """libyaml looks ahead for the end of a key, and newer ones have a limit of their own."""
    assert "nested more than" in str(refusal("[" * 5000))


def test_aliases_cannot_blow_up() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "aliases count" in str(refusal("\n".join(lines)))


def test_places_of_values_and_keys() -> None:
    (document,) = parse_yaml("a:\n  - b: 1\n    c.d: {e: f}\n", "x.yaml")
    assert document.mark(("a", 0, "c.d", "e")) == Mark(3, 14)
    assert document.mark(("a", 0, "c.d", "e"), key=True) == Mark(3, 11)
    assert document.mark(("a", 0, "missing")) == Mark(2, 5)
    assert document.where(("a", 0, "c.d")) == 'x.yaml:3:10: a[0]["c.d"]'


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a[0].b", ("a", 0, "b")),
        ('a[0]["x.y"].z', ("a", 0, "x.y", "z")),
        ("a[0].x.y.z", ("a", 0, "x.y", "z")),
        ("not.there[3].at_all", ("not", "there", 3, "at_all")),
    ],
)
def test_key_paths_are_found_in_the_document(text: str, path: tuple[str | int, ...]) -> None:
    assert resolve(text, {"a": [{"b": 1, "x.y": {"z": 2}}]}) == path


@given(path=st.lists(st.integers(0, 99) | KEYS.filter(lambda key: '"' not in key), min_size=1))
def test_key_paths_survive_their_text(path: list[str | int]) -> None:
    path = ["root", *path]
    assert resolve(text_of(tuple(path)), None) == tuple(path)


def test_several_json_values_and_doubles() -> None:
    values = [document.value for document in parse_json('{"a": 1}\n[2]\n', "f")]
    assert values == [{"a": 1}, [2]]
    for text in ('{"a": 1, "a": 2}', '{"a": NaN}', '{"a": }', "[" * 100_000):
        with pytest.raises(DocumentError):
            list(parse_json(text, "f"))
    assert not any(isinstance(v, float) and math.isnan(v) for v in values)


def test_files_that_are_no_text(tmp_path: Path) -> None:
    cases = {"binary": b"\x7fELF\x00\xff", "utf16": "a: b".encode("utf-16"), "nul": b"a: \x00b"}
    for name, data in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DocumentError):
            read_source(tmp_path / name)
    (tmp_path / "bom").write_bytes(b"\xef\xbb\xbfa: b")
    assert one(read_source(tmp_path / "bom")) == {"a": "b"}
    with pytest.raises(DocumentError, match="does not exist"):
        read_source(tmp_path / "absent")
    with pytest.raises(DocumentError, match="folder"):
        read_source(tmp_path)
