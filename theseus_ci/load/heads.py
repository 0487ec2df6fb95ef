"""Heads of answers that were understood before."""

from __future__ import annotations

import re

END = b"\r\n\r\n"  # of a head
_MOST = 512  # heads; their dates and times pass, so that old ones are of no use
_LENGTH = re.compile(rb"^content-length\s*:\s*(\d+)\s*$", re.IGNORECASE | re.MULTILINE)


class KnownHeads:
    """What the parser made of good answers, by the bytes of their heads.

    Most answers of a service differ from others in their body, or in the second of their date:
    to look a head up takes a fraction of the time that it takes to parse it.
    """

    def __init__(self) -> None:
        self.known: dict[bytes, tuple[int, int]] = {}
        """Status, and length in bytes of the whole answer, by the head without its end."""

    def learn(self, answer: bytes, status: int) -> None:
        """Remember a complete answer after which the connection stayed open.

        Only where its head gives the body's length, and what came is that body: no interim
        answer before it, no chunks, no answer to a HEAD request.
        """
        head, _, body = answer.partition(END)
        length = _LENGTH.search(head)
        if length is None or int(length[1]) != len(body):
            return
        if len(self.known) >= _MOST:
            self.known.clear()
        self.known[head] = status, len(answer)
