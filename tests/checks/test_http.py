"""HTTP checks against real servers, good and bad."""

from __future__ import annotations

import re
import ssl
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.checks.conftest import SECRET, Run
from tests.checks.servers import Web, free_port, tcp_server, web_server
from theseus_ci.model import CheckResult, Verdict


def ask(run: Run, web: Web, http: dict[str, Any], **more: Any) -> CheckResult:
    target = {"entrypoint": web.url} | more.pop("target", {})
    (result,) = run({"http": http, "timeout": "5s"} | more, **target)
    assert SECRET not in repr(result)
    return result


def test_the_candidate_is_asked_by_its_secret_header(run: Run, web: Web) -> None:
    result = ask(run, web, {"path": "/health?full=1"}, target={"host": "reviews.example.com"})
    assert result.verdict is Verdict.PASS, result
    (asked,) = web.asked
    assert asked["x-theseus-secret"] == SECRET
    assert asked["host"] == "reviews.example.com"
    assert asked[":path"] == "/health?full=1"
    assert asked[":method"] == "GET"
    assert result.charted_seconds is not None
    assert 0 < result.charted_seconds <= result.seconds
    assert "x-theseus-secret: <secret>" in result.evidence
    assert "< 200 OK" in result.evidence


@pytest.mark.parametrize(
    "expect",
    [
        {"status": 200},
        {"status": [204, 200]},
        {"json": {"$.status": "ok"}},
        {"json": {"$.items[*].n": {"min": 1}, "$.on": True}},
        {"json": {"$.items": [{"n": 1}, {"n": 2}]}},
        {"json": {"$.items[0]": {"exact": {"n": 1}}}},
        {"json": {"$.status": {"regex": "^o"}}},
        {"json": {"$.items[?(@.n == 2)].n": 2}},
        {"json": {"$.nothing": {"exists": False}}},
        {"body": "status"},
        {"body": {"regex": '"status":\\s*"ok"'}},
        {"body": {"prefix": "{"}},
        {"header": {"x-version": "2.0"}},
        {"header": {"X-Version": {"regex": "^2"}}},
        {"within": "4s"},
    ],
)
def test_what_holds_passes(run: Run, web: Web, expect: dict[str, Any]) -> None:
    result = ask(run, web, {"path": "/health", "expect": expect})
    assert result.verdict is Verdict.PASS, result


@pytest.mark.parametrize(
    ("expect", "said"),
    [
        ({"status": 201}, "expected status 201, got status 200"),
        ({"status": [201, 204]}, "status 201 or 204"),
        ({"json": {"$.status": "bad"}}, 'expected $.status "bad", got $.status "ok"'),
        ({"json": {"$.status": True}}, 'got $.status "ok"'),
        ({"json": {"$.on": 1}}, "expected $.on 1, got $.on true"),
        ({"json": {"$.items[*].n": 1}}, "got $.items[*].n 1, 2"),
        ({"json": {"$.nothing": "x"}}, "got $.nothing absent"),
        ({"json": {"$.status": {"max": 3}}}, "at most 3"),
        ({"json": {"$.items": [{"n": 1}]}}, "$.items"),
        ({"body": "absent"}, "body containing 'absent'"),
        ({"body": {"exact": "{}"}}, "body '{}'"),
        ({"header": {"x-version": "1.0"}}, "got header x-version '2.0'"),
        ({"header": {"x-none": "1.0"}}, "got no header x-none"),
        ({"within": "1ms", "status": 200}, "within 1ms"),
    ],
)
def test_what_does_not_hold_fails_and_says_so(
    run: Run, web: Web, expect: dict[str, Any], said: str
) -> None:
    if "within" in expect:  # longer than a millisecond for certain
        threading.Timer(0.1, web.release.set).start()
    page = "/slow" if "within" in expect else "/health"
    result = ask(run, web, {"path": page, "expect": expect})
    assert result.verdict is Verdict.FAIL
    assert said in result.message
    assert result.expected
    assert result.actual


@pytest.mark.parametrize(
    "http",
    [
        {"path": "/echo?a=b&c='d'", "headers": {"X-A": "it's $HOME"}},
        {"path": "/echo", "method": "POST", "json": {"it's": "$HOME"}},
        {"path": "/echo", "method": "PUT", "body": "@a\nb"},
        {"path": "/moved", "redirects": True},
        {"path": "/echo", "method": "HEAD"},
    ],
)
def test_repeat_is_a_command_that_works(run: Run, web: Web, http: dict[str, Any]) -> None:
    result = ask(run, web, http, target={"host": "reviews.example.com"})
    first, body = web.asked[0], web.bodies[0]
    count = len(web.asked)
    script = f"SECRET={SECRET}\n{result.repeat}"
    subprocess.run(["bash", "-c", script], check=True, stdout=subprocess.DEVNULL)
    again, body_again = web.asked[count], web.bodies[count]
    leave = {"accept-encoding", "connection"}
    assert {n: v for n, v in again.items() if n not in leave} == {
        n: v for n, v in first.items() if n not in leave
    }
    assert body_again == body
    assert "$SECRET is the value matched for header x-theseus-secret" in result.repeat


def test_a_body_that_is_no_json_fails(run: Run, web: Web) -> None:
    result = ask(run, web, {"path": "/missing", "expect": {"status": 404, "json": {"$.a": 1}}})
    assert result.verdict is Verdict.FAIL
    assert "no such page" in result.message


def test_bodies_are_sent(run: Run, web: Web) -> None:
    expect = {"body": {"contains": '{"id": 7}'}}
    assert (
        ask(
            run, web, {"path": "/echo", "method": "POST", "json": {"id": 7}, "expect": expect}
        ).verdict
        is Verdict.PASS
    )
    assert web.asked[0]["content-type"] == "application/json"
    assert (
        ask(
            run, web, {"path": "/echo", "method": "PUT", "body": "é", "expect": {"body": "é"}}
        ).verdict
        is Verdict.PASS
    )
    assert ask(run, web, {"path": "/health", "method": "HEAD"}).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("/short", "broke off"),
        ("/reset", "broke off"),
        ("/chunks", "broke off"),
        ("/silent", "broke off"),
        ("/broken", "got status 503"),
    ],
)
def test_a_lie_or_silence_is_the_candidates_failure(
    run: Run, web: Web, page: str, said: str
) -> None:
    result = ask(run, web, {"path": page})
    assert result.verdict is Verdict.FAIL
    assert said in result.message
    assert f"> GET {web.url}{page}" in result.evidence
    assert "curl" in result.repeat


@pytest.mark.parametrize("page", ["/slow", "/trickle"])
def test_an_answer_that_does_not_end_in_time_fails(run: Run, web: Web, page: str) -> None:
    result = ask(run, web, {"path": page}, timeout="1s")
    assert result.verdict is Verdict.FAIL
    assert "within 1s" in result.message
    assert not web.release.is_set()


def test_an_endless_body_is_cut_and_judged(run: Run, web: Web) -> None:
    result = ask(run, web, {"path": "/endless", "expect": {"body": {"regex": "^xxx"}}})
    assert result.verdict is Verdict.PASS
    assert "and more" in result.message
    assert len(result.evidence) < 100_000
    result = ask(run, web, {"path": "/endless", "expect": {"body": {"exact": "x"}}})
    assert result.verdict is Verdict.FAIL


def test_redirects_are_answers_unless_followed(run: Run, web: Web) -> None:
    assert ask(run, web, {"path": "/moved"}).verdict is Verdict.FAIL
    assert ask(run, web, {"path": "/moved", "expect": {"status": 302}}).verdict is Verdict.PASS
    assert ask(run, web, {"path": "/moved", "redirects": True}).verdict is Verdict.PASS


def test_redirects_to_the_host_stay_on_the_entrypoint(run: Run, web: Web) -> None:
    host = {"host": "reviews.example.com"}
    result = ask(run, web, {"path": "/moved/host", "redirects": True}, target=host)
    assert result.verdict is Verdict.PASS, result
    assert [asked[":path"] for asked in web.asked] == ["/moved/host", "/health"]
    assert web.asked[1]["x-theseus-secret"] == SECRET


def test_the_secret_is_not_carried_elsewhere(run: Run, web: Web) -> None:
    result = ask(run, web, {"path": "/away", "redirects": True})
    assert result.verdict is Verdict.FAIL
    assert "http://127.9.9.9:9/login" in result.message


def test_a_307_keeps_method_and_body(run: Run, web: Web) -> None:
    http = {"path": "/kept", "method": "POST", "body": "kept", "redirects": True}
    assert ask(run, web, http).verdict is Verdict.PASS
    assert web.asked[1][":method"] == "POST"
    assert web.bodies[1] == b"kept"


def test_a_circle_of_redirects_ends(run: Run, web: Web) -> None:
    result = ask(run, web, {"path": "/circle", "redirects": True})
    assert result.verdict is Verdict.FAIL
    assert len(web.asked) == 11


def test_retries_until_it_holds(run: Run, web: Web) -> None:
    retry = {"attempts": 5, "interval": "10ms"}
    result = ask(run, web, {"path": "/flaky", "retry": retry})
    assert result.verdict is Verdict.PASS
    assert result.details["attempts"] == 3


def test_a_retry_cut_short_tells_of_the_attempt_before(run: Run, web: Web) -> None:
    http = {"path": "/first/broken/then/slow", "retry": {"interval": "1ms"}}
    result = ask(run, web, http, timeout="2s")
    assert result.verdict is Verdict.FAIL
    assert result.message == (
        "no result within 2s; the attempt before it: expected status 200, got status 503"
    )


def test_retries_end(run: Run, web: Web) -> None:
    result = ask(run, web, {"path": "/broken", "retry": {"attempts": 2, "interval": "10ms"}})
    assert result.verdict is Verdict.FAIL
    assert len(web.asked) == 2
    retry = {"deadline": "200ms", "interval": "50ms"}
    result = ask(run, web, {"path": "/broken", "retry": retry})
    assert result.verdict is Verdict.FAIL
    assert len(web.asked) > 3


def test_an_entrypoint_that_refuses_is_an_error(run: Run, web: Web) -> None:
    gone = {"entrypoint": f"http://127.0.0.1:{free_port()}"}
    result = ask(run, web, {"path": "/"}, target=gone)
    assert result.verdict is Verdict.ERROR
    assert "no connection to" in result.message
    assert "refused" in result.message


@pytest.mark.parametrize(
    "entrypoint",
    [
        "",
        "127.0.0.1:80",
        "ftp://127.0.0.1",
        "http://",
        "http://127.0.0.1:99999",
        "http://[::1",
        "http://a..b",
    ],
)
def test_an_entrypoint_that_is_none_is_an_error(run: Run, web: Web, entrypoint: str) -> None:
    result = ask(run, web, {"path": "/"}, target={"entrypoint": entrypoint})
    assert result.verdict is Verdict.ERROR
    assert "entrypoint" in result.message


def test_a_name_that_does_not_resolve_is_an_error(run: Run, web: Web) -> None:
    # Too long to be asked for: the resolver refuses it without asking anybody.
    nowhere = {"entrypoint": f"http://{'.'.join(['x' * 60] * 5)}:80"}
    result = ask(run, web, {"path": "/"}, target=nowhere)
    assert result.verdict is Verdict.ERROR
    assert "no connection to" in result.message


def test_no_proxy_of_the_environment_is_used(
    run: Run, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("no_proxy", "")
    assert ask(run, web, {"path": "/health"}).verdict is Verdict.PASS


@pytest.mark.parametrize("page", ["/echo", "/echo/header"])
def test_a_secret_that_comes_back_is_taken_out(run: Run, web: Web, page: str) -> None:
    result = ask(run, web, {"path": page, "expect": {"body": "never there"}})
    assert result.verdict is Verdict.FAIL
    assert "<secret>" in result.evidence


class TestTls:
    @pytest.fixture
    def ca(self) -> trustme.CA:
        return trustme.CA()

    @pytest.fixture
    def server(self, ca: trustme.CA) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("reviews.example.com").configure_cert(context)
        return context

    @pytest.fixture
    def ca_file(self, ca: trustme.CA, tmp_path: Path) -> str:
        ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        return "ca.pem"

    def test_host_is_the_name_that_is_verified(
        self, run: Run, server: ssl.SSLContext, ca_file: str, tmp_path: Path
    ) -> None:
        with web_server(server) as web:
            target = {"entrypoint": web.tls_url, "host": "reviews.example.com"}
            http = {"path": "/health", "tls": {"ca": ca_file}}
            result = ask(run, web, http, target=target)
            assert result.verdict is Verdict.PASS, result
            (tmp_path / "repeat.sh").write_text(result.repeat)
            said = subprocess.run(
                ["bash", "repeat.sh"], cwd=tmp_path, check=True, stdout=subprocess.PIPE
            )
            assert said.stdout.startswith(b"HTTP/1.1 200 OK")
            assert web.asked[1]["host"] == "reviews.example.com"

    def test_a_server_name_of_its_own(self, run: Run, server: ssl.SSLContext, ca_file: str) -> None:
        with web_server(server) as web:
            tls = {"ca": ca_file, "serverName": "reviews.example.com"}
            http = {"path": "/health", "tls": tls}
            result = ask(run, web, http, target={"entrypoint": web.tls_url})
            assert result.verdict is Verdict.PASS, result

    @pytest.mark.parametrize("tls", [{}, {"ca": "ca.pem", "serverName": "other.example.com"}])
    def test_what_cannot_be_verified_is_an_error(
        self, run: Run, server: ssl.SSLContext, ca_file: str, tls: dict[str, str]
    ) -> None:
        with web_server(server) as web:
            target = {"entrypoint": web.tls_url, "host": "reviews.example.com"}
            result = ask(run, web, {"path": "/health", "tls": tls}, target=target)
            assert result.verdict is Verdict.ERROR
            assert re.search("certificate|hostname", result.message)
            assert not web.asked

    def test_verification_can_be_switched_off(self, run: Run, server: ssl.SSLContext) -> None:
        with web_server(server) as web:
            http = {"path": "/health", "tls": {"verify": False}}
            result = ask(run, web, http, target={"entrypoint": web.tls_url})
            assert result.verdict is Verdict.PASS, result

    def test_client_certificates(
        self, run: Run, ca: trustme.CA, server: ssl.SSLContext, ca_file: str, tmp_path: Path
    ) -> None:
        ca.configure_trust(server)
        server.verify_mode = ssl.CERT_REQUIRED
        client = ca.issue_cert("client.example.com")
        client.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "client.pem"))
        with web_server(server) as web:
            target = {"entrypoint": web.tls_url, "host": "reviews.example.com"}
            tls = {"ca": ca_file, "clientCert": "client.pem"}
            result = ask(run, web, {"path": "/health", "tls": tls}, target=target)
            assert result.verdict is Verdict.PASS, result
            result = ask(run, web, {"path": "/health", "tls": {"ca": ca_file}}, target=target)
            assert result.verdict is not Verdict.PASS

    def test_a_missing_file_is_an_error(self, run: Run, web: Web) -> None:
        result = ask(run, web, {"path": "/health", "tls": {"ca": "none.pem"}})
        assert result.verdict is Verdict.ERROR
        assert "none.pem" in result.message

    def test_a_handshake_that_breaks_off_says_nothing_of_the_candidate(self, run: Run) -> None:
        with tcp_server(lambda connection: None) as port:
            web = Web(port)
            result = ask(run, web, {"path": "/"}, target={"entrypoint": web.tls_url})
            assert result.verdict is Verdict.ERROR
