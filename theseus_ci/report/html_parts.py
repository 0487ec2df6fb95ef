"""Parts of the page that its sections share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from theseus_ci.model import Verdict
from theseus_ci.report.markup import Html, tag
from theseus_ci.report.svg import Picture

WORDS = {
    Verdict.PASS: "✓ passed",
    Verdict.FAIL: "✗ failed",
    Verdict.ERROR: "! unknown",
    Verdict.SKIPPED: "– skipped",
}
SCREEN_DARK = "screen and (prefers-color-scheme: dark)"
NARROW = "(max-width: 600px)"


def verdict(value: Verdict | None, word: str = "") -> Html:
    """A mark and a word in the verdict's colour: the colour is never all there is."""
    if value is None:
        return tag("span", word or "not run", class_="verdict v-none")
    return tag("span", word or WORDS[value], class_=f"verdict v-{value.value}")


def weighed(value: Verdict | None, *, weak: bool, word: str = "") -> Html:
    """The same, but a weak pass does not look like a clear one; `word` stands behind the mark."""
    if weak:
        return verdict(Verdict.ERROR, "≈ weak pass")
    return verdict(value, f"{WORDS[value][0]} {word}" if value is not None and word else "")


def section(key: str, title: str, content: Html) -> Html:
    """A landmark of its own."""
    heading = tag("h2", title, id=f"{key}-title")
    return tag("section", heading, content, id=key, aria_labelledby=f"{key}-title")


def table(
    label: str, columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[str]], class_: str
) -> Html:
    """A table whose first column heads its rows; `columns` are titles and classes.

    It scrolls by itself where the window is too narrow, by keyboard too. The roles are written out
    because browsers forget those of a table that the style sheet lays out anew.
    """
    head = tag(
        "tr",
        *(
            tag("th", title, scope="col", role="columnheader", class_=kind)
            for title, kind in columns
        ),
        role="row",
    )
    kinds = [kind for _, kind in columns]
    body = [
        tag(
            "tr",
            tag("th", row[0], scope="row", role="rowheader", class_=kinds[0]),
            *(
                tag("td", cell, role="cell", class_=kind)
                for cell, kind in zip(row[1:], kinds[1:], strict=True)
            ),
            role="row",
        )
        for row in rows
    ]
    whole = tag(
        "table",
        tag("thead", head, role="rowgroup"),
        tag("tbody", *body, role="rowgroup"),
        class_=class_,
        role="table",
        aria_label=label,
    )
    return tag("div", whole, class_="scroll", role="region", tabindex="0", aria_label=label)


def picture(drawn: Picture) -> Html:
    """The variant that fits the window and the scheme; paper is always light."""
    name = drawn.name
    width, height = drawn.files[0][1].width, drawn.files[0][1].height
    return tag(
        "picture",
        tag("source", media=f"{SCREEN_DARK} and {NARROW}", srcset=f"{name}-narrow-dark.svg"),
        tag("source", media=NARROW, srcset=f"{name}-narrow.svg"),
        tag("source", media=SCREEN_DARK, srcset=f"{name}-dark.svg"),
        tag(
            "img",
            src=f"{name}.svg",
            alt=drawn.alt,
            width=f"{width:g}",
            height=f"{height:g}",
        ),
    )
