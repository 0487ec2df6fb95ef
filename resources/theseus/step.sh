#!/bin/sh
# Runs one step, and sees to it that there is a report of it, whatever ended it.
set -uf
rm -rf "$THESEUS_REPORTS_DIR"
# When the build is aborted every process gets SIGTERM. The step then saves and reports; this shell
# must outlive it.
trap : HUP INT TERM
# shellcheck disable=SC2086
"$THESEUS_VENV/bin/theseus-ci" $THESEUS_COMMAND
code=$?
"$THESEUS_VENV/bin/theseus-ci" pipeline crashed "$THESEUS_STEP" --code "$code" || :
exit "$code"
