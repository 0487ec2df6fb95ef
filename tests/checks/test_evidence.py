"""The secret never stays in a text, however it got there."""

from __future__ import annotations

import base64
import html
import json
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from theseus_ci.checks.evidence import EVIDENCE_LIMIT, Capture, Scrubber
from theseus_ci.model import CheckResult, Verdict
from theseus_ci.report.sanitise import cap, one_line, sanitise

secrets = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=12, max_size=40)
# Short of "<secret>" itself, nothing in these texts can be mistaken for a piece of a secret.
anything = st.text(max_size=60)


@given(secrets, st.lists(anything, max_size=4), st.sampled_from("rqjhbulc"))
def test_no_form_of_a_secret_stays(secret: str, around: list[str], form: str) -> None:
    shown = {
        "r": secret,
        "q": quote(secret),
        "j": json.dumps(secret),
        "h": html.escape(secret),
        "b": base64.b64encode(secret.encode()).decode(),
        "u": base64.urlsafe_b64encode(secret.encode()).decode(),
        "l": secret.lower(),
        "c": f"{secret[:5]}\x1b[31m{secret[5:]}\x00",
    }[form]
    clean = Scrubber([secret]).scrub(shown.join([*around, ""]))
    assert secret.lower() not in clean.lower()
    if form != "c":
        assert shown.strip("=").lower() not in clean.lower()


@given(secrets, anything, anything)
def test_every_text_of_a_result_is_scrubbed(secret: str, before: str, behind: str) -> None:
    text = before + secret + behind
    result = CheckResult(
        name=text,
        verdict=Verdict.FAIL,
        message=text,
        seconds=1.0,
        expected=text,
        actual=text,
        evidence=text,
        repeat=text,
        details={text: text, "n": 1},
    )
    clean = Scrubber([secret]).scrub_result(result)
    texts = [clean.name, clean.message, clean.expected, clean.actual, clean.evidence]
    texts += [clean.repeat, *map(str, clean.details), *map(str, clean.details.values())]
    assert not [one for one in texts if secret.lower() in one.lower()]
    assert clean.verdict is Verdict.FAIL


@given(secrets, st.integers(0, 300), st.integers(1, 64), st.booleans())
def test_no_piece_of_a_secret_stays_where_output_is_cut(
    secret: str, offset: int, chunk: int, newline: bool
) -> None:
    output = ("." * offset + secret + ("\n" if newline else "")).encode() + b"." * 300
    capture = Capture(limit=128)
    for start in range(0, len(output), chunk):
        capture.add(output[start : start + chunk])
    clean = capture.text(Scrubber([secret]))
    pieces = {secret[i : i + 8].lower() for i in range(len(secret) - 7)}
    assert not [piece for piece in pieces if piece in clean.lower() and set(piece) != {"."}]
    assert len(clean) < 300


@given(st.binary(max_size=400), st.integers(1, 50))
def test_short_output_is_kept_whole(output: bytes, chunk: int) -> None:
    capture = Capture(limit=1000)
    for start in range(0, len(output), chunk):
        capture.add(output[start : start + chunk])
    assert len(capture) == len(output)
    assert capture.text(Scrubber([])) == sanitise(output.decode("utf-8", "replace"))


def test_files_are_scrubbed_byte_for_byte() -> None:
    scrubber = Scrubber(["a-long-secret"])
    assert scrubber.scrub_bytes(b"\xff\x00A-LONG-SECRET\n\xfe") == b"\xff\x00<secret>\n\xfe"
    assert Scrubber([]).scrub_bytes(b"\xff") == b"\xff"


def test_evidence_is_capped() -> None:
    result = CheckResult(
        name="n", verdict=Verdict.PASS, message="m", seconds=0, evidence="x" * 200_000
    )
    assert len(Scrubber([]).scrub_result(result).evidence) <= EVIDENCE_LIMIT


@given(st.text(max_size=200))
def test_sanitising_twice_changes_nothing(text: str) -> None:
    clean = sanitise(text)
    assert sanitise(clean) == clean
    assert one_line(one_line(text)) == one_line(text)
    assert "\n" not in one_line(text)
    clean.encode("utf-8")


def test_text_that_can_be_printed_stays_as_it_is() -> None:
    printable = "".join(filter(str.isprintable, map(chr, range(0x110000))))
    assert sanitise(printable) == printable
    assert sanitise(f"{printable}\t") == f"{printable}\t"  # held against every pattern


def test_colours_and_titles_leave_nothing_behind() -> None:
    text = "\x1b[1;31mred\x1b[0m \x1b]0;title\x07\x1b]8;;http://x\x1b\\link\x1b(B \x9b1mbold"
    assert sanitise(text) == "red link bold"
    assert sanitise("a\r\nb\rc\td\ud800\ufffe\U0001fffe\x85") == "a\nb\nc\td\ufffd"


@given(st.text(max_size=300), st.integers(1, 200))
def test_a_cap_is_a_cap(text: str, limit: int) -> None:
    capped = cap(text, limit)
    assert len(capped) <= limit
    assert text.startswith(capped[:1])
    assert len(text) > limit or capped == text
