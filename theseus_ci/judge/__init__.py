"""What measurements say of a release. Pure functions of samples; no world, no clock.

`compare` and `baseline` judge pairs of slices, `results` turns a judgement into the cases of a
report, `watch_errors` and `ErrorWatch` guard a bake.
"""

from theseus_ci.judge.cases import results
from theseus_ci.judge.errors import ErrorWatch, watch_errors
from theseus_ci.judge.verdict import baseline, compare

__all__ = ["ErrorWatch", "baseline", "compare", "results", "watch_errors"]
