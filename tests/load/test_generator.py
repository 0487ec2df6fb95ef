"""The load generator against real servers: every request exactly once, every outcome told apart."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import signal
import ssl
import threading
import time
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path

import msgspec
import pytest
import trustme

from tests.load.conftest import Serve
from tests.load.servers import OK_ANSWER, Seen, Server, always_ok
from theseus_ci.config.performance import LoadTls, Performance, Request
from theseus_ci.errors import ConfigError, NoData, UsageError
from theseus_ci.judge.summary import quantile, summarise
from theseus_ci.load.generator import HttpLoadGenerator
from theseus_ci.measure import (
    LOOKS,
    NO_CONNECTION,
    OK,
    SLICE,
    TIMED_OUT,
    Arm,
    LoadTarget,
    Slice,
    SlicePair,
)
from theseus_ci.quantities import Duration

FAST = Performance(requests=(Request(path="/"),), rate=4000, max_rate=20000, connections=8)
LOOK = LOOKS[0]  # pairs after which the judge thinks for the first time
PREVIOUS = Arm(version="previous", headers={"x-version": "previous"})
CANDIDATE = Arm(version="candidate", headers={"x-version": "candidate"})

FORMS = {
    "with a length": OK_ANSWER,
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "interim answer": b"HTTP/1.1 100 Continue\r\n\r\n" + OK_ANSWER,
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "304 with a length": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n",
    "404": b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
}


def changed(**changes: object) -> Performance:
    return msgspec.structs.replace(FAST, **changes)


def target(server: Server, *arms: Arm, scheme: str = "http", host: str = "") -> LoadTarget:
    return LoadTarget(url=server.url(scheme), host=host, arms=arms or (PREVIOUS, CANDIDATE))


def measure(
    where: LoadTarget, performance: Performance = FAST, *, pairs: int, seed: int = 1, size: int = 0
) -> list[SlicePair]:
    """So many pairs and no request more."""
    size = size or SLICE
    exactly = Duration(pairs * len(where.arms) * size / performance.rate)
    stream = HttpLoadGenerator().pairs(
        where,
        msgspec.structs.replace(performance, max_duration=exactly),
        seed=seed,
        stopped=lambda: False,
        slice_size=size,
    )
    return list(stream)


def slices(pairs: list[SlicePair]) -> Iterator[Slice]:
    return (one for pair in pairs for one in pair.slices)


def outcomes(pairs: list[SlicePair]) -> Counter[int]:
    return Counter(outcome for one in slices(pairs) for outcome in one.outcomes)


def test_every_request_is_sent_once_and_answered_once(serve: Serve) -> None:
    server = serve(always_ok)
    pairs = measure(target(server), pairs=LOOK, size=20)
    assert outcomes(pairs) == {OK: 600}
    assert Counter(seen.headers["x-version"] for seen in server.requests) == {
        "previous": 300,
        "candidate": 300,
    }
    assert all(status == 200 for one in slices(pairs) for status in one.statuses)
    assert all(latency > 0 for one in slices(pairs) for latency in one.latencies)


def test_connections_are_kept_alive_and_not_shared_between_versions(serve: Serve) -> None:
    server = serve(always_ok)
    measure(target(server), pairs=5)
    users: dict[int, set[str]] = {}
    for seen in server.requests:
        users.setdefault(seen.connection, set()).add(seen.headers["x-version"])
    assert server.connections <= 2 * FAST.connections
    assert all(len(versions) == 1 for versions in users.values())


def test_both_slices_of_a_pair_hold_the_same_requests_in_the_given_proportions(
    serve: Serve,
) -> None:
    server = serve(always_ok)
    mixed = changed(
        requests=(
            Request(path="/a"),
            Request(path="/b", weight=3, method="POST", headers={"x-kind": "b"}, body="bö"),
        )
    )
    pairs = measure(target(server, host="shop.example.com"), mixed, pairs=LOOK, size=20)
    for pair in pairs:
        first, second = pair.slices
        assert list(first.requests) == list(second.requests)
    chosen = Counter(kind for pair in pairs for kind in pair.slices[0].requests)
    paths = Counter(seen.path for seen in server.requests)
    assert paths == {"/a": 2 * chosen[0], "/b": 2 * chosen[1]}
    assert 0.6 < chosen[1] / sum(chosen.values()) < 0.9
    posts = [seen for seen in server.requests if seen.path == "/b"]
    assert {(x.method, x.body, x.headers["x-kind"]) for x in posts} == {
        ("POST", "bö".encode(), "b")
    }
    assert {seen.headers["host"] for seen in server.requests} == {"shop.example.com"}


def test_a_coin_that_the_seed_decides_orders_the_slices(serve: Serve) -> None:
    server = serve(always_ok)

    def order(seed: int) -> list[str]:
        pairs = measure(target(server), pairs=14, seed=seed, size=10)
        return [pair.slices[0].version for pair in pairs]

    first = order(1)
    assert order(1) == first
    assert order(2) != first
    assert set(first) == {"previous", "candidate"}


def test_a_single_version_is_measured_alone(serve: Serve) -> None:
    server = serve(always_ok)
    pairs = measure(target(server, CANDIDATE), pairs=LOOK, size=20)
    assert [[one.version for one in pair.slices] for pair in pairs] == [["candidate"]] * LOOK
    assert len(server.requests) == 20 * LOOK


def test_nothing_is_sent_after_the_judge_has_enough(serve: Serve) -> None:
    server = serve(always_ok)
    stream = HttpLoadGenerator().pairs(
        target(server), FAST, seed=1, stopped=lambda: False, slice_size=20
    )
    for _ in range(LOOK):
        next(stream)
    assert isinstance(stream, Generator)
    stream.close()
    assert len(server.requests) >= 600
    time.sleep(0.1)  # what was sent last arrives
    sent = len(server.requests)
    time.sleep(0.1)
    assert len(server.requests) == sent


@pytest.mark.parametrize("begins", [100, 2 * LOOK * 20, 2 * LOOK * 20 + 1])
def test_a_stall_is_seen_in_full_wherever_it_begins(serve: Serve, begins: int) -> None:
    """A server that stops for a second delays all that was due meanwhile, not one request: also
    where it stops just when the judge thinks, which here takes as long as the stall."""
    until: list[float] = []

    async def stall_once(server: Server, _: Seen, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        if len(server.requests) == begins:
            until.append(loop.time() + 1.0)
        if until and until[0] > loop.time():
            await asyncio.sleep(until[0] - loop.time())
        writer.write(OK_ANSWER)

    server = serve(stall_once)
    performance = changed(rate=500, connections=4, max_duration=Duration(2.4))
    pairs = []
    for pair in HttpLoadGenerator().pairs(
        target(server), performance, seed=1, stopped=lambda: False, slice_size=20
    ):
        pairs.append(pair)
        if len(pairs) == LOOK:
            time.sleep(1.0)
    latencies = sorted(value for one in slices(pairs) for value in one.latencies)
    waiting = [value for value in latencies if value > 100_000]
    assert len(latencies) == 1200
    assert len(waiting) > 400  # of the 500 that fell due in that second
    assert quantile(latencies, 0.99) > 900_000
    assert sum(one.waited for one in slices(pairs)) > 400


def test_recorded_latencies_are_no_lower_than_the_servers_own(serve: Serve) -> None:
    chance = random.Random(4)
    truth: list[float] = []

    async def known(_: Server, __: Seen, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        arrived = loop.time()
        await asyncio.sleep(chance.uniform(0.005, 0.02))
        truth.append((loop.time() - arrived) * 1e6)
        writer.write(OK_ANSWER)

    server = serve(known)
    pairs = measure(target(server, CANDIDATE), changed(rate=400), pairs=LOOK, size=20)
    recorded = sorted(value for one in slices(pairs) for value in one.latencies)
    assert len(recorded) == len(truth) == 300
    assert all(mine >= served - 50 for mine, served in zip(recorded, sorted(truth), strict=True))


@pytest.mark.parametrize("answer", list(FORMS.values()), ids=list(FORMS))
def test_answers_of_every_form_are_understood_and_connections_kept(
    serve: Serve, answer: bytes
) -> None:
    async def write(_: Server, __: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    server = serve(write)
    assert outcomes(measure(target(server), pairs=1)) == {OK: 200}
    assert server.connections <= 2 * FAST.connections


@pytest.mark.parametrize("answer", list(FORMS.values()), ids=list(FORMS))
def test_an_answer_may_come_in_two_pieces_cut_anywhere(serve: Serve, answer: bytes) -> None:
    async def in_pieces(server: Server, _: Seen, writer: asyncio.StreamWriter) -> None:
        cut = len(server.requests) % len(answer)
        writer.write(answer[:cut])
        await asyncio.sleep(0.003)
        writer.write(answer[cut:])

    server = serve(in_pieces)
    patient = changed(rate=1000)
    assert outcomes(measure(target(server, CANDIDATE), patient, pairs=2)) == {OK: 200}
    assert len(server.requests) >= len(answer), "so each cut has been made"
    assert server.connections <= FAST.connections


def test_answers_to_head_requests_have_no_body(serve: Serve) -> None:
    async def length_only(_: Server, __: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")

    server = serve(length_only)
    head = changed(requests=(Request(path="/", method="HEAD"),))
    assert outcomes(measure(target(server), head, pairs=1)) == {OK: 200}
    assert server.connections <= 2 * FAST.connections


LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SAME_HEADS = {
    "shorter for now": ("GET", LENGTH + b"0123456789abcde", (LENGTH + b"01234", b"56789abcde")),
    "after a HEAD": ("HEAD", LENGTH, (LENGTH, b"0123456789abcde")),
    "chunked": (
        "GET",
        CHUNKS + b"5\r\nhello\r\n0\r\n\r\n",
        (CHUNKS + b"a\r\n0123456789\r\n", b"0\r\n\r\n"),
    ),
}


@pytest.mark.parametrize(("method", "whole", "pieces"), SAME_HEADS.values(), ids=SAME_HEADS)
def test_an_answer_that_begins_like_the_one_before_is_read_to_its_own_end(
    serve: Serve, method: str, whole: bytes, pieces: tuple[bytes, bytes]
) -> None:
    async def in_turn(_: Server, seen: Seen, writer: asyncio.StreamWriter) -> None:
        if seen.path == "/whole":
            writer.write(whole)
        else:
            writer.write(pieces[0])
            await asyncio.sleep(0.02)
            writer.write(pieces[1])

    server = serve(in_turn)
    both = (Request(path="/whole", method=method), Request(path="/pieces"))
    (pair,) = measure(target(server, CANDIDATE), changed(requests=both, rate=500), pairs=1)
    assert outcomes([pair]) == {OK: 100}
    (one,) = pair.slices
    waits = [time for time, kind in zip(one.latencies, one.requests, strict=True) if kind]
    assert len(waits) > 20
    assert min(waits) >= 20_000
    assert server.connections <= FAST.connections


def test_a_server_that_closes_after_each_answer_loses_none(serve: Serve) -> None:
    async def close(_: Server, __: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
        writer.close()

    server = serve(close)
    assert outcomes(measure(target(server), pairs=LOOK, size=20)) == {OK: 600}
    assert len({seen.connection for seen in server.requests}) == 600


def test_an_answer_may_end_with_its_connection(serve: Serve) -> None:
    async def until_closed(_: Server, __: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nno length")
        writer.close()

    assert outcomes(measure(target(serve(until_closed)), pairs=1)) == {OK: 200}


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut",
        b"HTTP/1.1 200",
        b"nonsense\r\n\r\n",
    ],
    ids=["nothing", "cut short", "half a head", "no HTTP"],
)
def test_broken_answers_are_connection_errors(serve: Serve, answer: bytes) -> None:
    async def broken(_: Server, seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(answer if seen.headers["x-version"] == "candidate" else OK_ANSWER)
        if seen.headers["x-version"] == "candidate":
            writer.close()

    pairs = measure(target(serve(broken)), pairs=1)
    candidate, previous = pairs[0].of("candidate"), pairs[0].of("previous")
    assert candidate is not None
    assert previous is not None
    assert candidate.errors() == {"connection": 100}
    assert candidate.samples[0].text
    assert not previous.errors()


def test_resets_are_connection_errors(serve: Serve) -> None:
    async def reset(server: Server, _: Seen, writer: asyncio.StreamWriter) -> None:
        if len(server.requests) % 4:
            writer.write(OK_ANSWER)
        else:
            writer.transport.abort()

    server = serve(reset)
    pairs = measure(target(server), pairs=LOOK, size=20)
    assert outcomes(pairs) == {OK: 450, NO_CONNECTION: 150}
    assert len(server.requests) == 600


def test_surplus_bytes_cost_the_connection_but_not_the_answer(serve: Serve) -> None:
    async def surplus(_: Server, __: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(OK_ANSWER + b"surplus")

    server = serve(surplus)
    assert outcomes(measure(target(server), pairs=LOOK, size=20)) == {OK: 600}
    assert len({seen.connection for seen in server.requests}) == 600


def test_bad_statuses_keep_an_example(serve: Serve) -> None:
    async def failing(server: Server, _: Seen, writer: asyncio.StreamWriter) -> None:
        if len(server.requests) % 10:
            writer.write(OK_ANSWER)
        else:
            writer.write(b"HTTP/1.1 503 Unavailable\r\nContent-Length: 11\r\n\r\nno upstream")

    pairs = measure(target(serve(failing), CANDIDATE), pairs=2)
    summary = summarise("candidate", slices(pairs))
    assert summary.errors == {"status": 20}
    assert summary.judged == 180
    assert {(x.request, x.status, x.text) for x in summary.samples} == {
        ("GET /", 503, "no upstream")
    }


def test_expected_statuses_are_the_users(serve: Serve) -> None:
    only_404 = changed(expect_status=("404", "5xx"))
    assert outcomes(measure(target(serve(always_ok)), only_404, pairs=1))[OK] == 0


def test_a_server_that_hangs_times_out_and_counts_as_that_slow(serve: Serve) -> None:
    async def hang(_: Server, seen: Seen, writer: asyncio.StreamWriter) -> None:
        if seen.headers["x-version"] == "previous":
            writer.write(OK_ANSWER)

    impatient = changed(timeout=Duration(2), connections=10)
    pairs = measure(target(serve(hang)), impatient, pairs=1)
    candidate = pairs[0].of("candidate")
    assert candidate is not None
    assert set(candidate.outcomes) == {TIMED_OUT}
    assert min(candidate.judged()) >= 2_000_000
    assert candidate.waited > 0
    assert outcomes(pairs) == {OK: 100, TIMED_OUT: 100}


def test_nobody_listening_is_an_error_of_every_request(serve: Serve) -> None:
    server = serve(always_ok)
    where = msgspec.structs.replace(target(server), url="http://127.0.0.1:1")
    assert outcomes(measure(where, pairs=1)) == {NO_CONNECTION: 200}
    assert not server.requests


def test_open_connections_stay_within_their_bound(serve: Serve) -> None:
    async def slow(_: Server, __: Seen, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.01)
        writer.write(OK_ANSWER)

    server = serve(slow)
    pairs = measure(target(server, CANDIDATE), changed(connections=3), pairs=2)
    assert outcomes(pairs) == {OK: 200}
    assert server.connections == 3


def test_tls_is_verified_against_the_given_authority(serve: Serve, tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("shop.example.com").configure_cert(context)
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    server = serve(always_ok, context)
    trusted = changed(tls=LoadTls(ca=str(file)), rate=500)

    right = target(server, scheme="https", host="shop.example.com")
    assert outcomes(measure(right, trusted, pairs=1)) == {OK: 200}
    wrong = target(server, scheme="https", host="other.example.com")
    refused = measure(wrong, trusted, pairs=1, size=10)
    assert outcomes(refused) == {NO_CONNECTION: 20}
    assert "cannot connect" in refused[0].slices[0].samples[0].text
    unverified = changed(tls=LoadTls(verify=False), rate=500)
    assert outcomes(measure(wrong, unverified, pairs=1)) == {OK: 200}


def test_an_unreadable_authority_is_a_configuration_error(serve: Serve, tmp_path: Path) -> None:
    where = target(serve(always_ok), scheme="https")
    with pytest.raises(ConfigError, match=r"performance\.tls\.ca"):
        measure(where, changed(tls=LoadTls(ca=str(tmp_path / "none.pem"))), pairs=1)


def test_the_duration_is_a_hard_cap(serve: Serve) -> None:
    server = serve(always_ok)
    short = changed(max_duration=Duration(0.5), rate=1000)
    stream = HttpLoadGenerator().pairs(target(server), short, seed=1, stopped=lambda: False)
    pairs = list(stream)
    assert 2 * 10 <= sum(len(one.outcomes) for one in slices(pairs)) <= 500
    assert len(server.requests) <= 500


def test_a_rate_beyond_the_cap_is_refused(serve: Serve) -> None:
    server = serve(always_ok)
    with pytest.raises(UsageError, match="maxRate"):
        measure(target(server), changed(rate=20001), pairs=1)
    assert not server.requests


def test_being_stopped_is_no_end_of_data(serve: Serve) -> None:
    server = serve(always_ok)
    asked = itertools.count()
    stream = HttpLoadGenerator().pairs(
        target(server), FAST, seed=1, stopped=lambda: next(asked) > 20
    )
    with pytest.raises(NoData, match="stopped"):
        list(stream)


def test_an_entrypoint_that_is_no_url_is_refused() -> None:
    with pytest.raises(ConfigError, match="no URL"):
        measure(LoadTarget(url="gateway:80", arms=(CANDIDATE,)), pairs=1)


def test_headers_of_an_arm_stay_out_of_its_representation() -> None:
    secret = Arm(version="candidate", headers={"x-release": "s3cret"})
    assert "s3cret" not in repr(LoadTarget(url="http://127.0.0.1", arms=(secret,)))


def test_it_runs_in_any_thread(serve: Serve) -> None:
    server = serve(always_ok)
    found: list[SlicePair] = []
    thread = threading.Thread(target=lambda: found.extend(measure(target(server), pairs=2)))
    thread.start()
    thread.join(30)
    assert outcomes(found) == {OK: 400}


def test_signal_handlers_run_while_it_measures(serve: Serve) -> None:
    """As SIGTERM's would, which then makes `stopped` true."""
    server = serve(always_ok)
    stop = threading.Event()
    before = signal.signal(signal.SIGUSR1, lambda *_: stop.set())
    try:
        slow = changed(rate=20)
        asked = itertools.count()

        def stopped() -> bool:
            if next(asked) == 5:
                os.kill(os.getpid(), signal.SIGUSR1)
            return stop.is_set()

        with pytest.raises(NoData, match="stopped"):
            list(HttpLoadGenerator().pairs(target(server), slow, seed=1, stopped=stopped))
    finally:
        signal.signal(signal.SIGUSR1, before)
