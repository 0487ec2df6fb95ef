"""load-worker: in the pods of performance.load: send one share, print its samples."""

from __future__ import annotations

import argparse
import queue
import signal
import sys
import threading
import time
from pathlib import Path
from typing import BinaryIO

import msgspec

from theseus_ci.checks.prober import HttpProber
from theseus_ci.clock import SystemClock
from theseus_ci.config.performance import Performance
from theseus_ci.config.smoke import Tls
from theseus_ci.errors import EXIT_DONE, Interrupted, NoData, TheseusError, UsageError
from theseus_ci.load.share import pairs_of
from theseus_ci.measure import Arm, SlicePair
from theseus_ci.mesh import headers
from theseus_ci.ports import Prober
from theseus_ci.workers.chunks import Encoder, End, Failure, Hello, Message, Pairs, to_records
from theseus_ci.workers.order import AUTHORITY_FILE, Order, decode, settings_in_order

PROOF_SECONDS = 30.0  # for the first answers: a sidecar of the pod's may still be starting
ASK_SECONDS = 5.0
FLUSH_SECONDS = 0.5  # samples wait so long for others: one message compresses better than many


def run(args: argparse.Namespace) -> int:
    clock = SystemClock()
    clock.listen()
    log = Log(sys.stdout.buffer)
    try:
        order = read_order(Path(args.order))
        if not 0 <= args.index < order.workers:
            raise UsageError(f"--index {args.index}: the order is for {order.workers} workers")
        log.hidden = order.hidden
        prove(order, HttpProber(tls=_tls(order.settings())), clock)
        log.write(Hello(index=args.index, at=clock.now()))
        for pair in pairs_of(order, args.index, clock.stopped):
            log.put(pair)
    except TheseusError as error:
        if clock.stopped():
            log.close()
            raise Interrupted(signal.SIGTERM) from error
        log.close(Failure(message=str(error), remedy=error.remedy))
        raise
    log.close(End())
    return EXIT_DONE


def read_order(path: Path) -> Order:
    """The order in a file, and the authority beside it. Raises UsageError."""
    try:
        order = decode(path.read_bytes(), str(path))
    except OSError as error:
        raise UsageError(
            f"cannot read the order {path}: {error.strerror}",
            remedy="`theseus-ci performance` makes it; --order names another file",
        ) from error
    authority = path.with_name(AUTHORITY_FILE)
    if not authority.exists():
        return order
    performance = order.settings()
    tls = msgspec.structs.replace(performance.tls, ca=str(authority))
    performance = msgspec.structs.replace(performance, tls=tls)
    return msgspec.structs.replace(order, performance=settings_in_order(performance))


def prove(order: Order, prober: Prober, clock: SystemClock) -> None:
    """See each version answer through its own test route, with the newest edit of the routes:
    a worker that measures something else would compare a version with itself. Raises NoData."""
    deadline = clock.monotonic() + PROOF_SECONDS
    for arm in order.target.arms:
        while problem := _unproven(order, arm, prober):
            if clock.monotonic() >= deadline:
                raise NoData(
                    f"{order.target.url} does not lead to the {arm.version} version from here: "
                    f"{problem}",
                    remedy="give the entrypoint as pods reach it (performance.load.entrypoint), "
                    "and see that no NetworkPolicy is in the way",
                )
            clock.pause(0.2)


def _unproven(order: Order, arm: Arm, prober: Prober) -> str:
    """What is wrong with an answer through a version's test route; "" when nothing is."""
    try:
        answer = prober.ask(
            order.target.url,
            host=order.target.host,
            path=order.probe_path,
            headers=arm.headers,
            timeout=ASK_SECONDS,
        )
    except OSError as error:
        return f"no answer: {error}"
    edit = headers.sees(answer.headers, order.rollout)
    if edit is None or answer.headers.get(headers.VERSION) != arm.version:
        return f"status {answer.status}, without the mark of its test route"
    return f"edit {edit} of the routes, not {order.edit}" if edit < order.edit else ""


def _tls(performance: Performance) -> Tls:
    return Tls(verify=performance.tls.verify, ca=performance.tls.ca)


class Log:
    """Writes messages from a thread of its own, so that no request waits for them."""

    def __init__(self, stream: BinaryIO) -> None:
        self.hidden: tuple[str, ...] = ()
        self._stream = stream
        self._encoder = Encoder()
        self._pairs: queue.SimpleQueue[SlicePair | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._broken = False

    def write(self, message: Message) -> None:
        """Write at once; not while pairs are under way."""
        self._stream.write(self._encoder.lines(message))
        self._stream.flush()

    def put(self, pair: SlicePair) -> None:
        """Write soon. Raises NoData when nobody takes what is written any more."""
        if self._broken:
            raise NoData("the log cannot be written any more")
        if self._thread.ident is None:
            self._thread.start()
        self._pairs.put(pair)

    def close(self, last: Message | None = None) -> None:
        """Write what is left, and a last message."""
        if self._thread.ident is not None:
            self._pairs.put(None)
            self._thread.join()
        if last is not None and not self._broken:
            self.write(last)

    def _run(self) -> None:
        while (first := self._pairs.get()) is not None:
            batch, ended = self._gather(first)
            records = tuple(to_records(pair, self.hidden) for pair in batch)
            try:
                self.write(Pairs(at=time.time(), pairs=records))
            except OSError:
                self._broken = True
                return
            if ended:
                return

    def _gather(self, first: SlicePair) -> tuple[list[SlicePair], bool]:
        """`first` and what comes within FLUSH_SECONDS; whether nothing comes after that."""
        batch = [first]
        until = time.monotonic() + FLUSH_SECONDS
        while (left := until - time.monotonic()) > 0:
            try:
                pair = self._pairs.get(timeout=left)
            except queue.Empty:
                break
            if pair is None:
                return batch, True
            batch.append(pair)
        return batch, False
