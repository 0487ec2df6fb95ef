#!/bin/sh
# Runs theseus-ci with the words of THESEUS_COMMAND: split at spaces, never expanded.
set -euf
# shellcheck disable=SC2086
exec "$THESEUS_VENV/bin/theseus-ci" $THESEUS_COMMAND
