"""Single questions to the mesh, against servers good and bad."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme

from tests.checks.servers import Web, free_port, web_server
from theseus_ci.checks.prober import HttpProber
from theseus_ci.config.smoke import Tls
from theseus_ci.errors import ConfigError


def test_an_answer(web: Web) -> None:
    headers = {"X-Probe": "7"}
    answer = HttpProber().ask(
        web.url, host="reviews.example.com", path="/health?a=1", headers=headers, timeout=5
    )
    assert answer.status == 200
    assert answer.headers["x-version"] == "2.0"
    assert answer.body.startswith(b'{"status"')
    assert answer.seconds > 0
    (asked,) = web.asked
    assert asked["host"] == "reviews.example.com"
    assert asked["x-probe"] == "7"
    assert asked[":path"] == "/health?a=1"
    assert asked["connection"] == "close"


def test_every_question_has_its_own_connection(web: Web) -> None:
    prober = HttpProber()
    for _ in range(3):
        prober.ask(web.url, path="/health", timeout=5)
    assert web.connections == 3


def test_a_header_of_ones_own_wins(web: Web) -> None:
    HttpProber().ask(web.url, path="/health", headers={"user-agent": "me"}, timeout=5)
    assert web.asked[0]["user-agent"] == "me"


def test_a_prefix_in_the_entrypoint(web: Web) -> None:
    HttpProber().ask(f"{web.url}/echo/", path="/header", timeout=5)
    assert web.asked[0][":path"] == "/echo/header"


@pytest.mark.parametrize(("page", "status"), [("/moved", 302), ("/broken", 503), ("/none", 404)])
def test_any_status_is_an_answer(web: Web, page: str, status: int) -> None:
    assert HttpProber().ask(web.url, path=page, timeout=5).status == status


def test_repeated_headers_are_joined(web: Web) -> None:
    assert HttpProber().ask(web.url, path="/twice", timeout=5).headers["x-many"] == "one, two"


@pytest.mark.parametrize("page", ["/short", "/reset", "/chunks", "/silent"])
def test_half_an_answer_is_none(web: Web, page: str) -> None:
    with pytest.raises(OSError, match="no whole answer") as caught:
        HttpProber().ask(web.url, path=page, timeout=5)
    assert not isinstance(caught.value, TimeoutError)


@pytest.mark.parametrize("page", ["/slow", "/trickle"])
def test_time_runs_out(web: Web, page: str) -> None:
    with pytest.raises(TimeoutError, match=r"within 0\.3 s"):
        HttpProber().ask(web.url, path=page, timeout=0.3)
    assert not web.release.is_set()


def test_a_body_without_end_is_cut(web: Web) -> None:
    assert len(HttpProber().ask(web.url, path="/endless", timeout=10).body) == 1024 * 1024


def test_nobody_there() -> None:
    with pytest.raises(ConnectionRefusedError):
        HttpProber().ask(f"http://127.0.0.1:{free_port()}", timeout=5)
    with pytest.raises(OSError, match=r"(?i)name"):
        HttpProber().ask(f"http://{'.'.join(['x' * 60] * 5)}", timeout=5)


@pytest.mark.parametrize(
    ("entrypoint", "path"),
    [("nowhere", "/"), ("https://", "/"), ("http://127.0.0.1:1", "/ HTTP/1.1\r\nX: y")],
)
def test_what_cannot_be_asked(web: Web, entrypoint: str, path: str) -> None:
    entrypoint = entrypoint.replace("http://127.0.0.1:1", web.url)
    with pytest.raises(ConfigError):
        HttpProber().ask(entrypoint, path=path, timeout=5)


def test_tls(tmp_path: Path) -> None:
    ca = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("reviews.example.com").configure_cert(server)
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with web_server(server) as web:
        prober = HttpProber(tls=Tls(ca="ca.pem"), directory=tmp_path)
        answer = prober.ask(web.tls_url, host="reviews.example.com", path="/health", timeout=5)
        assert answer.status == 200
        with pytest.raises(OSError, match="certificate"):
            prober.ask(web.tls_url, path="/health", timeout=5)
        with pytest.raises(OSError, match="certificate"):
            HttpProber().ask(web.tls_url, host="reviews.example.com", timeout=5)
        careless = HttpProber(tls=Tls(verify=False))
        assert careless.ask(web.tls_url, path="/health", timeout=5).status == 200
