# One line each: `make test` is what CI runs. Needs git, make, Python 3.11 or newer with venv; nothing else.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: install demo test test-long lint format bench

install: $(STAMP)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("carenet needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -e '.[local,test]'
	@touch $@

demo: install
	$(BIN)/carenet demo

lint: install
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

format: install
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

test: lint
	$(BIN)/python -m pytest -m 'not long' -n 2 --dist loadfile

test-long: install
	$(BIN)/python -m pytest -m long

bench: install
	$(BIN)/carenet bench latency
