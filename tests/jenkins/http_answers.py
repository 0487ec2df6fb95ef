"""HTTP answers as Jenkins, Stapler and Jetty give them."""

from __future__ import annotations

import json
from typing import Any

HTML = "text/html;charset=utf-8"


class Answer(Exception):
    """An HTTP answer; raised, since a request may end anywhere."""

    def __init__(
        self, code: int, body: str | bytes = b"", kind: str = HTML, **headers: str
    ) -> None:
        super().__init__(code)
        self.code = code
        self.body = body.encode() if isinstance(body, str) else body
        self.headers = {
            "Content-Type": kind,
            **{k.replace("_", "-"): v for k, v in headers.items()},
        }


def page(code: int, title: str, **headers: str) -> Answer:
    return Answer(code, f"<html><head><title>{title}</title></head><body/></html>", **headers)


def failure(text: str) -> Answer:
    """What Jenkins makes of a `Failure`."""
    return page(400, "Error", X_Error=text)


def as_json(value: Any, **headers: str) -> Answer:
    return Answer(200, json.dumps(value), "application/json;charset=utf-8", **headers)
