"""What is printed decides nothing over a release, wherever it goes; and bugs have a way back."""

from __future__ import annotations

import pytest

from tests.e2e import app
from tests.e2e.world import World

QUICK = app.flow(without=("performance",))
NO_PLACE = (">/dev/full 2>/dev/full", "<&- >&- 2>&-")
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
BROKEN = """raise ImportError("libllhttp.so.9: cannot open shared object file")\n"""


@pytest.fixture
def steady(workspace: World) -> World:
    """With a candidate to release."""
    workspace.configure(app.candidate(replicas=1), flow=QUICK)
    return workspace


def test_a_bad_release_is_taken_back_without_a_word(steady: World) -> None:
    before = steady.dump()
    steady.configure(app.candidate(replicas=1, DEMO_ERROR_PATHS="/"), flow=QUICK)
    steady.shell("theseus-ci run <&- >&- 2>&-", code=1)
    assert steady.dump() == before


def test_a_good_release_is_finished_without_a_word(world: World) -> None:
    world.start_service(replicas=1)
    world.configure(app.candidate(replicas=1), flow=QUICK)
    world.shell("theseus-ci run >/dev/full 2>/dev/full")
    assert world.ask().headers["x-demo-version"] == "v2"
    assert not world.has("Lease", "theseus-web")


@pytest.mark.parametrize("place", [*NO_PLACE, "| true"])
def test_steps_and_the_way_back_need_no_output(steady: World, place: str) -> None:
    before = steady.dump()
    for command in ("begin", "base-route", "rollback"):
        steady.shell(f"{{ theseus-ci {command}; echo $? >code; }} {place}")
        assert (steady.folder / "code").read_text() == "0\n"
    assert steady.dump() == before


@pytest.mark.parametrize("encoding", [{"PYTHONIOENCODING": "latin-1"}, ASCII])
def test_an_encoding_that_lacks_a_character(steady: World, encoding: dict[str, str]) -> None:
    begun = steady.shell("theseus-ci begin", env=encoding)
    assert r"web-v1 \u2192 web-v2" in begun.out
    shown = steady.shell("theseus-ci status", env=encoding)
    assert r"  \u2713 begin" in shown.out
    steady.shell("theseus-ci base-route && theseus-ci report", env=encoding)
    assert "web-v2" in steady.shell("theseus-ci report --markdown", env=encoding).out
    steady.shell("theseus-ci rollback", env=encoding)


def test_a_backup_holds_what_an_encoding_lacks(steady: World) -> None:
    note = {"metadata": {"annotations": {"owner": "Zoë → team web"}}}
    steady.merge("Deployment", "web-v1", note)
    saved = steady.shell("theseus-ci backup", env={"PYTHONIOENCODING": "latin-1"})
    assert steady.shell("theseus-ci backup").out.count("owner: Zoë → team web") == 1
    assert saved.out.count(r'owner: "Zo\xEB \u2192 team web"') == 1


@pytest.mark.parametrize(
    ("product", "place", "reason"),
    [
        ("plan", ">/dev/full", "No space left on device"),
        ("init --service web --namespace {}", ">/dev/full", "No space left on device"),
        ("status", ">&-", "Bad file descriptor"),
    ],
)
def test_an_answer_that_cannot_be_printed_is_a_failure(
    steady: World, product: str, place: str, reason: str
) -> None:
    done = steady.shell(f"theseus-ci {product.format(steady.namespace)} {place}", code=3)
    command = product.partition(" ")[0]
    assert done.err.splitlines()[-4:] == [
        f"theseus-ci {command}: cannot write to standard output: {reason}",
        "  nothing else went wrong: see where the output leads, then run it again",
        "production traffic: as before, this command has touched nothing",
        "next: mend what the message says, then run the same command again",
    ]


def test_what_nobody_foresaw_has_the_same_way_back(steady: World) -> None:
    """A library of the load generator is broken, and found out with users on the candidate."""
    before = steady.dump()
    steady.configure(app.candidate(replicas=1))
    broken = steady.write("broken/httptools.py", BROKEN)
    done = steady.shell("theseus-ci run", code=3, env={"PYTHONPATH": str(broken.parent)})
    assert "shift-first: pass" in done.out
    assert done.err.startswith("Traceback (most recent call last):")
    assert "ImportError: libllhttp.so.9: cannot open shared object file" in done.err
    assert "theseus-ci run: an error nobody foresaw; please report the lines above" in done.err
    assert "rollback: pass" in done.out
    assert done.last_words == ("production traffic: 100 % on web-v1", "next: theseus-ci begin")
    assert steady.dump() == before
