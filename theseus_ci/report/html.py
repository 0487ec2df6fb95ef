"""The page: HTML without script and style, which Jenkins' Content-Security-Policy shows as it is.

`site` gives all files of the report by name: the page, its style sheet, its pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from theseus_ci.model import Verdict
from theseus_ci.report import html_checks, html_latency
from theseus_ci.report.distributions import distributions
from theseus_ci.report.figures import clock, duration, machine, moment
from theseus_ci.report.html_parts import picture, section, table, verdict, weighed
from theseus_ci.report.markup import Html, join, tag
from theseus_ci.report.page_model import GateRow, JournalRow, ObjectRow, Page, StepRow
from theseus_ci.report.svg import Picture
from theseus_ci.report.timeline import timeline

STYLE = Path(__file__).with_name("style.css")


def site(page: Page) -> dict[str, str]:
    """Texts of the report's files, by name."""
    pictures: dict[str, Picture] = {}
    if any(step.verdict for step in page.steps):
        pictures["timeline"] = timeline(page.steps, page.candidate or "the candidate")
    for run in page.runs:
        drawn = distributions(run)
        if drawn is not None:
            pictures[run.step] = drawn
    files = {"index.html": _document(page, pictures), "style.css": STYLE.read_text("utf-8")}
    for one in pictures.values():
        for variant, drawing in one.files:
            files[f"{one.name}{variant.suffix}.svg"] = drawing.render(one.alt)
    return files


def _document(page: Page, pictures: dict[str, Picture]) -> str:
    sections = _sections(page, pictures)
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", page.title),
        tag("link", rel="stylesheet", href="style.css"),
    )
    links = [tag("li", tag("a", title, href=f"#{key}")) for key, title, _ in sections]
    body = tag(
        "body",
        tag("a", "Skip to the content", href="#content", class_="skip"),
        _header(page),
        tag("nav", tag("ul", *links), aria_label="Sections of this report"),
        tag("main", *(section(*one) for one in sections), id="content"),
        tag("footer", tag("p", f"As of {moment(page.started + page.seconds)}. All times are UTC.")),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _sections(page: Page, pictures: dict[str, Picture]) -> list[tuple[str, str, Html]]:
    """Id, title and content of each section that has something to say."""
    found: list[tuple[str, str, Html]] = []
    if page.failures:
        found.append(("failed", "What failed", html_checks.failures(page)))
    found.append(("steps", "Steps", _steps(page.steps, pictures.get("timeline"))))
    if page.runs:
        latency = join(*(html_latency.run(run, pictures.get(run.step)) for run in page.runs))
        found.append(("latency", "Latency", latency))
    if page.checks:
        found.append(("checks", "Checks", html_checks.all_checks(page.checks)))
    if page.gates:
        found.append(("gates", "Gates", _gates(page.gates)))
    if page.objects or page.journal:
        found.append(("changes", "Changes in the cluster", _changes(page.objects, page.journal)))
    if page.notes:
        notes = tag("ul", *(tag("li", note) for note in page.notes))
        found.append(("notes", "Notes", notes))
    return found


def _header(page: Page) -> Html:
    command = (
        [tag("pre", tag("code", page.next_command), tabindex="0")] if page.next_command else []
    )
    facts = [tag("div", tag("dt", name), tag("dd", value)) for name, value in page.facts]
    return tag(
        "header",
        tag("p", f"Rollout of {page.service}", class_="service"),
        tag("h1", page.title),
        tag(
            "div",
            tag("p", page.outcome, class_="sentence"),
            tag("h2", "What to do next"),
            *(tag("p", sentence) for sentence in page.next),
            *command,
            class_=f"outcome {page.tone.value}",
        ),
        tag("dl", *facts, class_="facts"),
    )


def _steps(steps: Sequence[StepRow], drawn: Picture | None) -> Html:
    rows: list[tuple[str, ...]] = [
        (
            join(tag("span", step.id), tag("span", step.summary or step.title, class_="more")),
            weighed(step.verdict, weak=step.weak, word=step.word),
            duration(step.seconds),
            f"{step.weight} %",
        )
        for step in steps
        if step.verdict is not None
    ]
    waiting = [step for step in steps if step.verdict is None]
    if waiting:
        count = f"{len(waiting)} more step" + ("" if len(waiting) == 1 else "s")
        names = tag("span", ", ".join(step.id for step in waiting), class_="more")
        rows.append((join(tag("span", count), names), verdict(None), "", ""))
    columns = (("Step", "what"), ("Result", "result"), ("Took", "took number"))
    traffic = ("Traffic", "share number")
    return join(
        *([picture(drawn)] if drawn else []),
        table(
            "Every step, and the candidate's share of production traffic after it",
            (*columns, traffic),
            rows,
            "steps",
        ),
    )


def _gates(gates: Sequence[GateRow]) -> Html:
    rows = [
        (
            gate.step,
            gate.message,
            gate.submitter or "anyone who may build",
            _answer(gate),
            _time(gate.at),
        )
        for gate in gates
    ]
    columns = (("Before step", ""), ("Asked", ""), ("Who may answer", ""), ("Answer", ""))
    return table("Consent that the plan asks for", (*columns, ("When", "nowrap")), rows, "wide")


def _answer(gate: GateRow) -> Html:
    if gate.approved is None:
        return verdict(None, "nobody has answered")
    said = verdict(Verdict.PASS, "✓ approved")
    if not gate.approved:
        said = verdict(Verdict.FAIL, "✗ not approved")
    return join(said, gate.details)


def _changes(objects: Sequence[ObjectRow], journal: Sequence[JournalRow]) -> Html:
    rows = [
        (
            join(one.name, tag("span", one.role, class_="more")),
            one.fate,
            tag("ul", *(tag("li", act) for act in one.acts), class_="acts")
            if one.acts
            else "nothing",
        )
        for one in objects
    ]
    columns = (("Object", ""), ("How it stands", ""), ("What was done", "done"))
    return join(
        table("Objects that take part", columns, rows, "objects"),
        _journal(journal),
    )


def _journal(journal: Sequence[JournalRow]) -> Html:
    rows = [(_time(one.at), one.step, one.act, one.outcome or "no end recorded") for one in journal]
    columns = (("Time", "nowrap"), ("Step", ""), ("Act", ""), ("Outcome", ""))
    count = f"{len(journal)} act" + ("" if len(journal) == 1 else "s")
    content = table("Every act, in order", columns, rows, "wide") if journal else Html("")
    return tag("details", tag("summary", f"Journal: {count} on the cluster"), content)


def _time(epoch: float | None) -> Html:
    if epoch is None:
        return Html("")
    return tag("time", clock(epoch), datetime=machine(epoch), title=moment(epoch))
