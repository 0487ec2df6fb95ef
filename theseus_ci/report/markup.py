"""HTML that is escaped unless it was made here."""

from __future__ import annotations

from theseus_ci.report.sanitise import escape, sanitise


class Html(str):
    """Markup made by `tag`; any other text is escaped where it is put in."""

    __slots__ = ()


_VOID = frozenset({"img", "link", "meta", "source", "col", "br"})


def escaped(text: str) -> str:
    """`text` as a browser shows it, in an element or an attribute."""
    return escape(sanitise(text))


def tag(name: str, /, *children: str, **attributes: str) -> Html:
    """An element. An attribute's `_` stands for `-`, one at the end is left out (`class_`)."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escaped(value)}"'
        for key, value in attributes.items()
    )
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(*children)}</{name}>")


def join(*children: str) -> Html:
    """Elements and texts one after the other."""
    return Html("".join(child if isinstance(child, Html) else escaped(child) for child in children))
