"""The bench runs, and reads what the other programs print."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys

import pytest

from bench.load.clients import clients
from bench.table import markdown


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench.load", "--quick", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def cells(output: str, client: str) -> list[str]:
    (row,) = (line for line in output.splitlines() if line.startswith(f"| {client} "))
    return [cell.strip() for cell in row.strip("|").split("|")]


@pytest.mark.parametrize("client", ["ours", "bare loop", "wrk", "hey", "k6"])
def test_a_client_is_measured_by_what_envoy_answered(client: str) -> None:
    if any(one.name == client and one.missing for one in clients()):
        skipped = bench("--client", client, "--only", "saturation")
        assert f"skipped {client}: no {client} on the PATH" in skipped.stdout
        pytest.skip(f"{client} is not installed")
    done = bench("--client", client, "--only", "saturation")
    assert done.returncode == 0, done.stderr
    _, rate, cost, ratio = cells(done.stdout, client)
    assert float(rate) > 0
    assert float(cost) > 0
    assert ratio == "1.00"


def test_what_the_client_says_is_held_against_what_the_server_knows() -> None:
    done = bench("--client", "ours", "--only", "accuracy")
    assert done.returncode == 0, done.stderr
    _, p50, p99, share = cells(done.stdout, "ours")
    assert all(math.isfinite(float(figure)) for figure in (p50, p99))
    assert share.endswith("%")


def test_the_bare_loop_costs_and_tells_nothing() -> None:
    done = bench("--client", "bare loop", "--only", "accuracy", "--only", "stall")
    assert done.returncode == 0, done.stderr
    assert cells(done.stdout, "bare loop")[1:3] == ["-", "-"]
    assert done.stdout.count("| bare loop ") == 1, "it has no figure for a stall"


def test_an_absent_program_is_skipped_with_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    missing = {client.name: client.missing for client in clients()}
    assert not missing["ours"]
    assert missing["wrk"] == "no wrk on the PATH"
    assert shutil.which("wrk") is None


def test_a_table_is_aligned() -> None:
    assert markdown(["a", "long"], [["first", "b"]]) == (
        "| a     | long |\n| ----- | ---- |\n| first | b    |"
    )
