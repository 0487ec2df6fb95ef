"""What a check keeps for people to read: bounded, and without the rollout's secret."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

import msgspec

from theseus_ci.model import CheckResult
from theseus_ci.report.sanitise import cap, escape, sanitise

EVIDENCE_LIMIT = 64_000  # characters of a result's evidence
TEXT_LIMIT = 4_000  # characters of every other text of a result
PLACEHOLDER = "<secret>"
_SHORTEST_PIECE = 4  # characters of a secret that are taken out where a text was cut


class Scrubber:
    """Takes secrets out of texts, also where they come back encoded."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets if secret for form in _forms(secret)}
        self._forms = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, self._forms)) or r"(?!)", re.IGNORECASE)

    def scrub(self, text: str, *, cut_before: bool = False, cut_behind: bool = False) -> str:
        """Return `text` sanitised and without secrets.

        `cut_before` and `cut_behind` say that the text is a piece of a longer one: then a piece of
        a secret at that edge goes as well.
        """
        clean = self._pattern.sub(PLACEHOLDER, sanitise(text))
        if cut_behind:
            clean = self._without_piece(clean, at_end=True)
        if cut_before:
            clean = self._without_piece(clean, at_end=False)
        return clean

    def scrub_bytes(self, data: bytes) -> bytes:
        """Return `data` without secrets, else unchanged."""
        return re.sub(
            self._pattern.pattern.encode(), PLACEHOLDER.encode(), data, flags=re.IGNORECASE
        )

    def scrub_result(self, result: CheckResult) -> CheckResult:
        """Return the result with every text scrubbed, then capped."""
        return msgspec.structs.replace(
            result,
            name=cap(self.scrub(result.name), TEXT_LIMIT),
            message=cap(self.scrub(result.message), TEXT_LIMIT),
            expected=cap(self.scrub(result.expected), TEXT_LIMIT),
            actual=cap(self.scrub(result.actual), TEXT_LIMIT),
            evidence=cap(self.scrub(result.evidence), EVIDENCE_LIMIT),
            repeat=cap(self.scrub(result.repeat), TEXT_LIMIT),
            details={
                self.scrub(name): self.scrub(value) if isinstance(value, str) else value
                for name, value in result.details.items()
            },
        )

    def _without_piece(self, text: str, *, at_end: bool) -> str:
        folded = text.lower()
        for form in self._forms:
            for length in range(min(len(form) - 1, len(text)), _SHORTEST_PIECE - 1, -1):
                if at_end and folded.endswith(form[:length].lower()):
                    return text[:-length] + PLACEHOLDER
                if not at_end and folded.startswith(form[-length:].lower()):
                    return PLACEHOLDER + text[length:]
        return text


def _forms(secret: str) -> set[str]:
    """A secret as servers and tools are known to give it back."""
    plain = base64.b64encode(secret.encode()).decode().rstrip("=")
    safe = base64.urlsafe_b64encode(secret.encode()).decode().rstrip("=")
    return {
        secret,
        secret.strip(),
        quote(secret),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        escape(secret),
        plain,
        safe,
    } - {""}


class Capture:
    """The first and the last bytes of an output of any length."""

    def __init__(self, limit: int = 2 * 32_000) -> None:
        self._half = limit // 2
        self._head = bytearray()
        self._tail = bytearray()
        self._length = 0

    def add(self, data: bytes) -> None:
        """Take the next bytes."""
        self._length += len(data)
        room = self._half - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        self._tail += data
        if len(self._tail) > 2 * self._half:
            del self._tail[: -self._half]

    def __len__(self) -> int:
        """Bytes seen, kept or not."""
        return self._length

    def text(self, scrubber: Scrubber) -> str:
        """What was kept, scrubbed."""
        tail = self._tail[-self._half :]
        left_out = self._length - len(self._head) - len(tail)
        if left_out <= 0:
            return scrubber.scrub((self._head + tail).decode("utf-8", "replace"))
        head = scrubber.scrub(self._head.decode("utf-8", "replace"), cut_behind=True)
        end = scrubber.scrub(tail.decode("utf-8", "replace"), cut_before=True)
        return f"{head}\n[… {left_out:,} bytes left out …]\n{end}"
