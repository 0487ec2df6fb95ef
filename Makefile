# make demo: a good and a bad release under live traffic, on a sandbox of its own
# make test: the tests; what needs more than Python is skipped, each with one line that says why
# make lint: style, types, import contracts
PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?=
WORKERS ?= 2
BIN = $(VENV)/bin
PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check $(addprefix -c ,$(CONSTRAINTS))

.PHONY: demo test lint format clean

demo: $(VENV)/sandbox.installed
	$(BIN)/theseus-ci demo

test: $(VENV)/dev.installed
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

lint: $(VENV)/dev.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(VENV)/dev.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "theseus-ci needs Python 3.10 or newer; name one with: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/sandbox.installed: pyproject.toml | $(VENV)/bin/python
	$(PIP_INSTALL) --editable '.[sandbox]'
	@touch $@

$(VENV)/dev.installed: pyproject.toml | $(VENV)/bin/python
	$(PIP_INSTALL) --editable '.[dev]'
	@touch $@ $(VENV)/sandbox.installed

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis reports demo-reports
