"""The demo's picture shows what happened: no version, loss or mark is hidden by its coarseness."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from theseus_ci.demo.picture import HEIGHT, WIDTH, Mark, draw
from theseus_ci.demo.traffic import Request

MARGIN = 8
BLOCKS = "▁▂▃▄▅▆▇█"


def at(due: float, version: str = "v1", status: int = 200, seconds: float = 0.01) -> Request:
    return Request(due, seconds, status, version, "" if status else "closed")


def picture(requests: list[Request], *marks: Mark) -> list[str]:
    return draw(requests, marks, previous="v1", candidate="v2")


def columns(lines: list[str]) -> list[str]:
    """The picture's columns, each from top to bottom."""
    rows = [line[MARGIN:].ljust(WIDTH) for line in lines[1 : 1 + HEIGHT]]
    return ["".join(column) for column in zip(*rows, strict=True)]


def test_nothing_is_drawn_of_nothing() -> None:
    assert picture([]) == []


def test_all_of_one_version_fills_the_picture() -> None:
    steady = [at(second / 10) for second in range(1000)]
    assert set(columns(picture(steady))) == {"░" * HEIGHT}
    steady = [at(second / 10, "v2") for second in range(1000)]
    assert set(columns(picture(steady))) == {"█" * HEIGHT}


def test_half_is_half() -> None:
    both = [at(second / 20, f"v{1 + second % 2}") for second in range(WIDTH * 40)]
    assert set(columns(picture(both))) == {"░" * (HEIGHT // 2) + "█" * (HEIGHT // 2)}


@given(shares=st.lists(st.integers(0, 200), min_size=WIDTH, max_size=WIDTH))
def test_a_single_answer_of_either_version_is_seen(shares: list[int]) -> None:
    requests = [
        at(second + place / 201, "v2" if place < share else "v1")
        for second, share in enumerate(shares)
        for place in range(200)
    ]
    requests.append(at(WIDTH - 1e-9, "v2" if shares[-1] else "v1"))
    for share, column in zip(shares, columns(picture(requests)), strict=True):
        assert (share > 0) == any(sign in BLOCKS for sign in column), (share, column)
        assert (share < 200) == (column != "█" * HEIGHT), (share, column)


@given(lost=st.integers(0, 999))
def test_one_lost_request_is_marked_where_it_was(lost: int) -> None:
    requests = [at(float(second)) for second in range(1000)]
    requests[lost] = at(float(lost), version="", status=0)
    line = picture(requests)[-1]
    assert line.startswith("  lost")
    assert [place for place, sign in enumerate(line) if sign == "×"] == [
        MARGIN + min(WIDTH - 1, int(lost / 999 * WIDTH))
    ]


def test_a_version_that_answers_with_errors_has_lost_nothing() -> None:
    requests = [at(float(second), "v2", 500 if second < 10 else 200) for second in range(1000)]
    lines = picture(requests)
    assert set(columns(lines)) == {"█" * HEIGHT}
    assert lines[-2].split() == ["errors", "!"]
    assert lines[-1].split() == ["lost", "none"]


@given(places=st.lists(st.floats(0, 100), max_size=8))
def test_every_mark_is_named(places: list[float]) -> None:
    marks = [Mark(place, f"<{number}>") for number, place in enumerate(places)]
    lines = picture([at(second / 10) for second in range(1001)], *marks)
    for mark in marks:
        assert sum(line.count(mark.label) for line in lines) == 1
    assert all(len(line) <= MARGIN + WIDTH for line in lines[1:])
