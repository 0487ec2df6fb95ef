"""What theseus.yaml may say of smoke checks, and what is wrong with the rest."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import yaml

from tests.checks.conftest import decode
from theseus_ci.config.smoke import validate

GOOD = r"""
- {name: health, http: {path: /health, expect: {status: 200, json: {$.status: ok}, within: 500ms}}}
- {name: speaks redis, tcp: {port: 6379, send: "PING\r\n", expect: "+PONG"}}
- {name: by name, tcp: {port: redis-tls, connect: true, tls: {serverName: x}}}
- {name: batch, ssh: {host: ops@batch-1, command: "check-reviews --host {{host}}"}}
- {name: acceptance, bash: tests/acceptance.sh, timeout: 5m}
- {name: long, bash: {script: tests/acceptance.sh, env: {MODE: fast}}}
- {name: inline, bash: {inline: "exit 0"}}
- name: everything
  http:
    path: /a?b=c
    method: PATCH
    headers: {X-A: "1"}
    json: {a: [1, null]}
    expect:
      status: [200, 204]
      body: {regex: "^a"}
      json: {"$.a[*].b": {min: 1}, $.c: null, $.d: {exact: {e: 1}}, $.f: {exists: false}}
      header: {X-B: b, X-C: {regex: c}}
    tls: {ca: ca.pem, clientCert: c.pem, clientKey: k.pem}
    redirects: true
    retry: {attempts: 3, deadline: 10s, interval: 500ms}
"""


@pytest.mark.parametrize("written", yaml.safe_load(GOOD), ids=lambda written: written["name"])
def test_what_is_sound(written: dict[str, Any]) -> None:
    assert list(validate(decode(written))) == []


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ({}, ""),
        ({"http": {}, "tcp": {"port": 1, "connect": True}}, ""),
        ({"name": "two\nlines", "bash": "x"}, "name"),
        ({"name": " ", "bash": "x"}, "name"),
        ({"timeout": "0", "bash": "x"}, "timeout"),
        ({"http": {"path": "health"}}, "http.path"),
        ({"http": {"path": "/a b"}}, "http.path"),
        ({"http": {"method": "GET /"}}, "http.method"),
        ({"http": {"headers": {"a b": "c"}}}, 'http.headers["a b"]'),
        ({"http": {"headers": {"a": "b\r\nc: d"}}}, 'http.headers["a"]'),
        ({"http": {"body": "a", "json": {}}}, "http.json"),
        ({"http": {"expect": {"status": 99}}}, "http.expect.status"),
        ({"http": {"expect": {"status": []}}}, "http.expect.status"),
        ({"http": {"expect": {"body": {}}}}, "http.expect.body"),
        ({"http": {"expect": {"body": ""}}}, "http.expect.body.contains"),
        ({"http": {"expect": {"body": {"exact": "a", "regex": "b"}}}}, "http.expect.body"),
        ({"http": {"expect": {"body": {"regex": "("}}}}, "http.expect.body.regex"),
        ({"http": {"expect": {"header": {"a": {"regex": "("}}}}}, 'http.expect.header["a"].regex'),
        ({"http": {"expect": {"json": {"$.[": 1}}}}, 'http.expect.json["$.["]'),
        ({"http": {"expect": {"json": {"$.a": {"b": 1}}}}}, 'http.expect.json["$.a"]'),
        ({"http": {"expect": {"json": {"$.a": {"regex": "("}}}}}, 'http.expect.json["$.a"].regex'),
        ({"http": {"expect": {"json": {"$.a": {"min": "1"}}}}}, 'http.expect.json["$.a"].min'),
        ({"http": {"expect": {"json": {"$.a": {"prefix": 1}}}}}, 'http.expect.json["$.a"].prefix'),
        ({"http": {"expect": {"json": {"$.a": {"exists": 1}}}}}, 'http.expect.json["$.a"].exists'),
        ({"http": {"expect": {"within": "31s"}}}, "http.expect.within"),
        ({"http": {"expect": {"within": "0"}}}, "http.expect.within"),
        ({"http": {"retry": {"attempts": 0}}}, "http.retry.attempts"),
        ({"http": {"retry": {"deadline": "1m"}}}, "http.retry.deadline"),
        ({"http": {"tls": {"clientKey": "k"}}}, "http.tls.clientKey"),
        ({"http": {"tls": {"verify": False, "ca": "c"}}}, "http.tls.ca"),
        ({"tcp": {"port": 0, "connect": True}}, "tcp.port"),
        ({"tcp": {"port": "Not A Port", "connect": True}}, "tcp.port"),
        ({"tcp": {"port": 1}}, "tcp.expect"),
        ({"tcp": {"port": 1, "send": "hello"}}, "tcp.expect"),
        ({"tcp": {"port": 1, "expect": {"exact": "x"}}}, "tcp.expect.exact"),
        ({"tcp": {"port": 1, "expect": "x", "encoding": "klingon"}}, "tcp.encoding"),
        ({"tcp": {"port": 1, "expect": "x", "send": "€", "encoding": "latin-1"}}, "tcp.encoding"),
        ({"ssh": {"host": "-oProxyCommand=x", "command": "x"}}, "ssh.host"),
        ({"ssh": {"host": "h", "command": " "}}, "ssh.command"),
        ({"ssh": {"host": "h", "command": "{{secret}}"}}, "ssh.command"),
        ({"ssh": {"host": "h", "command": "x", "port": 70000}}, "ssh.port"),
        ({"ssh": {"host": "h", "command": "x", "options": {"a b": "c"}}}, 'ssh.options["a b"]'),
        ({"ssh": {"host": "h", "command": "x", "expect": {"exit": 255}}}, "ssh.expect.exit"),
        ({"ssh": {"host": "h", "command": "x", "expect": {"stdout": ""}}}, "ssh.expect.stdout"),
        ({"bash": {}}, "bash"),
        ({"bash": {"script": "a", "inline": "b"}}, "bash"),
        ({"bash": ""}, "bash.script"),
        ({"bash": {"inline": " "}}, "bash.inline"),
        ({"bash": {"script": "a", "env": {"a-b": "c"}}}, 'bash.env["a-b"]'),
        ({"bash": {"script": "a", "env": {"THESEUS_HOST": "c"}}}, 'bash.env["THESEUS_HOST"]'),
    ],
)
def test_what_is_wrong_and_where(written: dict[str, Any], path: str) -> None:
    problems = dict(validate(decode(written)))
    assert path in problems or f"{path}.contains" in problems, problems
    assert all(problems.values())


@pytest.mark.parametrize(
    "written",
    [
        {"name": None, "bash": "x"},
        {"bash": "x", "timeout": 5},
        {"http": {"expects": {}}},
        {"http": {"expect": {"status": "200"}}},
        {"tcp": {"expect": "x"}},
        {"ssh": {"host": "h"}},
        {"ftp": {}},
    ],
)
def test_what_the_types_refuse(written: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode(written)
