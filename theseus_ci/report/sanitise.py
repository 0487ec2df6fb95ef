"""Text that any XML reader, Jenkins page and terminal can take.

Output of checks may hold anything. What XML 1.0 cannot carry, and what would only be noise on a
page (colours, cursor movements), is removed; nothing else is changed.
"""

from __future__ import annotations

import re

_ESCAPE_SEQUENCE = (  # compiled for text that needs it: most does not
    r"(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # OSC: titles, links
    r"|(?:\x1b[PX^_]|[\x90\x98\x9e\x9f])[^\x1b\x9c]*(?:\x1b\\|\x9c)"  # DCS, SOS, PM, APC
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b[ -/]*[0-~]"  # two-character escapes
)
_LINE_END = r"\r\n?"
_SURROGATE = "[\ud800-\udfff]"
_NOT_XML = (
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufdd0-\ufdef"
    + "".join(
        f"{chr(plane * 0x10000 + 0xFFFE)}{chr(plane * 0x10000 + 0xFFFF)}" for plane in range(17)
    )
    + "]"
)
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"}


def sanitise(text: str) -> str:
    """Return `text` without escape sequences, control characters and noncharacters; a lone
    surrogate becomes U+FFFD, line ends become newlines. A second call changes nothing."""
    if all(line.isprintable() for line in text.split("\n")):
        return text
    text = re.sub(_LINE_END, "\n", re.sub(_ESCAPE_SEQUENCE, "", text))
    return re.sub(_SURROGATE, "\ufffd", re.sub(_NOT_XML, "", text))


def one_line(text: str) -> str:
    """Return `text` sanitised, with every run of blanks and line ends as one blank."""
    return " ".join(sanitise(text).split())


def escape(text: str) -> str:
    """Return `text` as markup shows it, in an element or an attribute."""
    for char, entity in _ENTITIES.items():
        text = text.replace(char, entity)
    return text


def cap(text: str, limit: int) -> str:
    """Return at most `limit` characters of `text`: its beginning and its end, and in between how
    much was left out. The end is where programs say why they failed."""
    if len(text) <= limit:
        return text
    mark = f"\n[… {len(text) - limit:,} characters and more left out …]\n"
    room = limit - len(mark)
    if room < 2:
        return text[:limit]
    head = room * 2 // 3
    return text[:head] + mark + text[len(text) - (room - head) :]
