# One line each: `make test` is what CI runs. Needs git, make, Python 3.11 or newer with venv; nothing else.
# The first that runs and is new enough: a name that is found may be a version manager's empty promise.
PYTHON ?= $(shell for p in python3.11 python3 python3.12 python3.13 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: install demo test test-long lint format bench

install: $(STAMP)

$(STAMP): pyproject.toml
	@test -n "$(PYTHON)" || { echo "carenet needs Python 3.11 or newer: make PYTHON=/path/to/python3.11" >&2; exit 1; }
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

# Tests of one stack share a group (one after the other), simulations fill the other core; what measures runs alone.
test-long: install
	@echo "about three quarters of an hour on two idle cores: faults beside simulations, then the soak by itself"
	$(BIN)/python -m pytest -m 'long and not alone' -n 2 --dist loadgroup --durations=15
	$(BIN)/python -m pytest -m 'long and alone' -s

bench: install
	$(BIN)/carenet bench report --quick --output .bench
