#!/bin/sh
# An environment with exactly that version of theseus-ci that the library was made for.
# THESEUS_INSTALL=no takes the environment as it is; it is checked all the same.
set -eu
command="$THESEUS_VENV/bin/theseus-ci"
wanted="theseus-ci $THESEUS_CI_VERSION"

found() { "$command" --version 2>/dev/null || echo nothing; }

if [ "$THESEUS_INSTALL" = yes ] && [ "$(found)" != "$wanted" ]; then
  rm -rf "$THESEUS_VENV"
  "$THESEUS_PYTHON" -m venv "$THESEUS_VENV"
  set -- --quiet --disable-pip-version-check
  [ -z "$THESEUS_INDEX" ] || set -- "$@" --index-url "$THESEUS_INDEX"
  [ -z "$THESEUS_WHEELHOUSE" ] || set -- "$@" --no-index --find-links "$THESEUS_WHEELHOUSE"
  "$THESEUS_VENV/bin/python" -m pip install "$@" "theseus-ci==$THESEUS_CI_VERSION"
fi
if [ "$(found)" != "$wanted" ]; then
  echo "this library goes with $wanted; in $THESEUS_VENV there is $(found)" >&2
  exit 3
fi
