"""A measurement on the page: its picture, and its quantiles as a table."""

from __future__ import annotations

from theseus_ci.report.html_parts import picture, table, verdict, weighed
from theseus_ci.report.markup import Html, join, tag
from theseus_ci.report.page_model import LatencyRun
from theseus_ci.report.svg import Picture


def run(measured: LatencyRun, drawn: Picture | None) -> Html:
    """One run of `performance`."""
    parts = [
        tag("h3", measured.step, tag("span", measured.title, class_="more")),
        tag("p", weighed(measured.verdict, weak=measured.weak), " ", measured.sentence),
    ]
    if drawn is not None:
        parts.append(picture(drawn))
    if measured.quantiles:
        parts.append(_quantiles(measured))
    parts.append(tag("p", f"Errors: {measured.errors}.", class_="more"))
    parts.append(tag("p", f"Load: {measured.load}.", class_="more"))
    return join(*parts)


def _quantiles(measured: LatencyRun) -> Html:
    rows = [
        (
            join(row.quantile, tag("span", f"against {row.against}", class_="more")),
            verdict(row.verdict, row.finding),
            row.reference,
            row.candidate,
            row.change,
            row.interval,
            row.tolerance,
        )
        for row in measured.quantiles
    ]
    columns = (
        ("Quantile", ""),
        ("Finding", ""),
        ("Reference", "number"),
        ("Candidate", "number"),
        ("Change", "number"),
        ("Interval of the change", "number"),
        ("Tolerance", "number"),
    )
    return table(f"Quantiles of latency in {measured.step}", columns, rows, "wide quantiles")
