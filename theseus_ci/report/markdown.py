"""A rollout in a few lines of Markdown, for a pull request or a chat."""

from __future__ import annotations

import re
from collections.abc import Sequence

from theseus_ci.model import Verdict
from theseus_ci.report.figures import duration
from theseus_ci.report.page_model import Check, LatencyRun, Page, StepChecks, StepRow, Tone
from theseus_ci.report.sanitise import cap, one_line

MARKS = {Tone.GOOD: "✅", Tone.BAD: "❌", Tone.DOUBT: "⚠️", Tone.CALM: "⏳"}
BACK = "↩️"  # taken back, and nothing is wrong
VERDICTS = {
    Verdict.PASS: "✅ passed",
    Verdict.FAIL: "❌ failed",
    Verdict.ERROR: "⚠️ unknown",
    Verdict.SKIPPED: "skipped",
}
LINE_LIMIT = 300  # characters of a text within a line
_MARKUP = re.compile(r"[\\`*_\[\]|~$]|^[-+#=]|^\d+(?=[.)])")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_LINK = re.compile(r"://|(?<=www)\.", re.IGNORECASE)
_MENTION = re.compile(r"@(?=\w)")


def markdown(page: Page) -> str:
    """The summary; ends with a newline."""
    parts = [
        f"### {_mark(page)} {_text(page.title)}",
        _text(page.outcome),
        f"**Service** {_code(page.service)} · {_versions(page)}**took** {duration(page.seconds)}",
        _next(page),
        _steps(page.steps),
        *(_failure(group, check) for group, check in page.failures),
        *(_latency(run) for run in page.runs[-1:]),
        *(f"- {_text(note)}" for note in page.notes),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _mark(page: Page) -> str:
    return BACK if page.over and page.tone is Tone.CALM else MARKS[page.tone]


def _versions(page: Page) -> str:
    if not page.candidate:
        return ""
    if not page.previous:
        return f"**version** {_code(page.candidate)}, the first one · "
    return f"**versions** {_code(page.previous)} → {_code(page.candidate)} · "


def _next(page: Page) -> str:
    sentences = " ".join(_text(sentence) for sentence in page.next)
    command = f" {_code(page.next_command)}" if page.next_command else ""
    return f"**Next** {sentences}{command}" if sentences or command else ""


def _steps(steps: Sequence[StepRow]) -> str:
    lines = ["| step | result | took | traffic |", "|---|---|---:|---:|"]
    for step in steps:
        if step.verdict is not None:
            word = "≈ weak pass" if step.weak else VERDICTS[step.verdict]
            if step.word:
                word = f"{word.partition(' ')[0]} {step.word}"
            cells = (_cell(step.id), word, duration(step.seconds), f"{step.weight} %")
            lines.append(f"| {' | '.join(cells)} |")
    waiting = sum(1 for step in steps if step.verdict is None)
    if waiting:
        lines.append(f"| {waiting} more | not run | | |")
    return "\n".join(lines)


def _failure(group: StepChecks, check: Check) -> str:
    word = "failed" if check.verdict is Verdict.FAIL else "could not be found out"
    lines = [f"**{_text(check.name)}** in {_text(group.step)} {word}: {_text(check.message)}"]
    if check.expected:
        lines.append(f"- expected: {_text(check.expected)}")
    if check.actual:
        lines.append(f"- actual: {_text(check.actual)}")
    if check.remedy:
        lines.append(f"- what to do: {_text(check.remedy)}")
    return "\n".join(lines)


def _latency(run: LatencyRun) -> str:
    told = [
        f"{row.quantile} {row.reference} → {row.candidate} ({row.change}, {row.finding})"
        for row in run.quantiles
        if row.against == run.quantiles[0].against
    ]
    if not told:
        return ""
    against = run.quantiles[0].against
    return f"**Latency** in {_text(run.step)}, against {_text(against)}: {_text(', '.join(told))}"


def _code(text: str) -> str:
    """Code that its own content cannot end."""
    line = cap(one_line(text), LINE_LIMIT).replace("\n", " ")
    longest = max((len(run) for run in re.findall(r"`+", line)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if line[:1] == "`" or line[-1:] == "`" else ""
    return f"{fence}{pad}{line}{pad}{fence}" if line else ""


def _cell(text: str) -> str:
    return _code(text.replace("|", "¦"))


def _text(text: str) -> str:
    """Text that is shown as it is: no markup, no link, nobody is called by `@name`."""
    line = cap(one_line(text), LINE_LIMIT).replace("\n", " ")
    line = _MARKUP.sub(_escape, line)
    for char, entity in _ENTITIES.items():
        line = line.replace(char, entity)
    return _MENTION.sub("@\u200b", _LINK.sub(_unlinked, line))


def _escape(match: re.Match[str]) -> str:
    found = match.group()
    return f"{found}\u200b" if found[0].isdigit() else f"\\{found}"


def _unlinked(match: re.Match[str]) -> str:
    """An address in a check's output is shown, and leads nowhere."""
    return f"\u200b{match.group()}"
