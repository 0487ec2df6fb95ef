"""A real Chromium on a page served as Jenkins serves published HTML.

No remote control: a page around the report (which is not under its policy) reads what the browser
has made of it, and says so in its own text.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

POLICY = "sandbox allow-same-origin; default-src 'none'; img-src 'self'; style-src 'self';"
"""Jenkins' default for files it serves from workspaces and archives."""

HOW_TO_INSTALL = "no chromium: apt-get install chromium"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--enable-logging=stderr",
)
DARK = "--blink-settings=preferredColorScheme=0"
SECONDS = 90
_FRAME = """<!doctype html>
<title>around</title><body>
<iframe src="report/index.html" width="{width}" height="900" onload="look(this)"></iframe>
<pre id="seen"></pre>
<script>
function look(frame) {{
  const page = frame.contentDocument, root = page.documentElement;
  const style = (one) => frame.contentWindow.getComputedStyle(one);
  const box = (one) => one.getBoundingClientRect();
  document.getElementById("seen").textContent = JSON.stringify({{
    width: root.clientWidth,
    needs: root.scrollWidth,
    rules: [...page.styleSheets].map((one) => one.cssRules.length),
    background: style(page.body).backgroundColor,
    ink: style(page.body).color,
    pictures: [...page.images].map((one) => ({{
      file: one.currentSrc.split("/").pop(), natural: one.naturalWidth, shown: box(one).width,
    }})),
    beyond: [...page.querySelectorAll("main *")]
      .filter((one) => !one.closest(".scroll") && box(one).right > root.clientWidth + 1)
      .map((one) => one.tagName),
    folded: [...page.querySelectorAll("details:not([open]) > :not(summary)")]
      .filter((one) => one.checkVisibility()).length,
  }});
}}
</script></body>"""


@dataclass(frozen=True)
class Seen:
    """What the browser made of a report."""

    facts: dict[str, Any]
    complaints: list[str]  # of the console about the policy


def find_chromium() -> str:
    """Its path; without one the test is skipped, or fails where everything is required."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path is not None:
            return path
    if os.environ.get("THESEUS_REQUIRE") == "all":
        pytest.fail(HOW_TO_INSTALL)
    pytest.skip(HOW_TO_INSTALL)


def look(report: Path, profile: Path, *, width: int, dark: bool) -> Seen:
    """Show the folder's report in a window that wide, in CSS pixels."""
    with _served(report, _FRAME.format(width=width)) as address:
        done = _run(profile, "--dump-dom", *([DARK] if dark else []), f"{address}/around.html")
    found = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found is not None, done.stderr
    assert found.group(1), f"the report did not load: {done.stderr}"
    return Seen(json.loads(unescape(found.group(1))), complaints(done.stderr))


def shoot(report: Path, profile: Path, picture: Path, *, width: int, height: int) -> None:
    """Write a screenshot of the report itself."""
    with _served(report, "") as address:
        size = (f"--window-size={width},{height}", "--hide-scrollbars")
        _run(profile, *size, f"--screenshot={picture}", f"{address}/report/index.html")


def complaints(log: str) -> list[str]:
    """Lines of Chromium's log on what a Content-Security-Policy has kept from happening."""
    return [line for line in log.splitlines() if "Content Security Policy" in line]


def _run(profile: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [find_chromium(), *FLAGS, f"--user-data-dir={profile}", *arguments]
    with_parent = ["setpriv", "--pdeathsig", "KILL", "--"]
    return subprocess.run(
        [*with_parent, *command], capture_output=True, text=True, check=True, timeout=SECONDS
    )


class _Handler(SimpleHTTPRequestHandler):
    """The report under the policy at /report/, the page around it without."""

    around = ""

    def do_GET(self) -> None:
        if self.path == "/around.html":
            body = self.around.encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            super().end_headers()
            self.wfile.write(body)
            return
        self.path = self.path.removeprefix("/report")
        super().do_GET()

    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the browser's log is what is read."""


@contextlib.contextmanager
def _served(folder: Path, around: str) -> Iterator[str]:
    handler = type("Handler", (_Handler,), {"around": around})
    serve = functools.partial(handler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
