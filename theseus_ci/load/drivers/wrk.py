"""wrk: the distribution of its latencies, which a few lines of Lua behind the user's make it print.

wrk tells how often a latency was seen and not when, so nothing can be held beside one another slice
by slice: its figures are estimates, and a verdict on latency is never more than weak.
"""

from __future__ import annotations

import re
from array import array
from pathlib import Path

from theseus_ci.errors import NoData
from theseus_ci.load.drivers.answers import Answers

ENVIRONMENT: dict[str, str] = {}
_SCRIPT = "theseus.lua"
_COUNT = re.compile(r"^theseus latency (\d+) (\d+)$", re.MULTILINE)
_TOTAL = re.compile(r"^theseus total (\d+) status (\d+) lost (\d+)$", re.MULTILINE)
_BEHIND = """
local theirs = done
function done(summary, latency, requests)
  if theirs then theirs(summary, latency, requests) end
  local errors = summary.errors
  local lost = errors.connect + errors.read + errors.write + errors.timeout
  print(string.format("theseus total %d status %d lost %d", summary.requests, errors.status, lost))
  for index = 1, #latency do
    local micros, count = latency(index)
    print(string.format("theseus latency %d %d", micros, count))
  end
end
"""


def arguments(script: str, given: tuple[str, ...], folder: Path) -> list[str]:
    """For `wrk`; the URL comes behind. Raises errors.NoData when the script cannot be read."""
    try:
        theirs = Path(script).read_text(encoding="utf-8")
    except OSError as error:
        raise NoData(f"cannot read wrk's script: {error}") from error
    file = folder / _SCRIPT
    file.write_text(theirs + _BEHIND, encoding="utf-8")
    return ["--latency", *given, "-s", str(file)]


def read(_: Path, printed: str) -> Answers:
    """Raises errors.NoData for what is no output of wrk.

    wrk counts a bad status from 400 on, and does not tell which.
    """
    total = _TOTAL.search(printed)
    told = array("I")
    for match in _COUNT.finditer(printed):
        told.extend(array("I", [max(1, int(match[1]))]) * int(match[2]))
    if total is None or not told:
        raise NoData("cannot read wrk's output: its total and its latencies are not there")
    requests, bad, lost = (int(number) for number in total.groups())
    # wrk adds latencies for what it did not send during a slow answer: as many as there were
    # requests, evenly taken, have the same quantiles
    latencies = array("I", [told[index * len(told) // requests] for index in range(requests)])
    statuses = array("I", [200]) * (requests - bad) + array("I", [500]) * bad
    return Answers(
        latencies=latencies + array("I", [1]) * lost,
        statuses=statuses + array("I", [0]) * lost,
        ordered=False,
    )
