# rung: everything that is typed here more than once.  `make` alone lists the targets.
#
# `make demo` and `make test` set themselves up in .venv; a machine needs Python >= 3.11, make and a C library.
# Two stamps, so that the demo does not wait for the tools of those who work on rung.

.DEFAULT_GOAL := help
.PHONY: help demo test test-all shapes company pythons check format docs gauntlet clean

BIN := .venv/bin
TESTS ?= tests
# Each worker starts a PostgreSQL of its own, so more than four cost more than they bring.  A file is one worker's, as
# what its tests share is made once; tests/conftest.py has the longest begin first.
WORKERS ?= -n logical --maxprocesses 4 --dist loadscope --no-loadscope-reorder

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## *(.*)/make \1|\2/' | awk -F'|' '{printf "  %-14s %s\n", $$1, $$2}'

demo: .venv/.installed  ## the whole loop on a sample shop with a real PostgreSQL, in minutes
	@$(BIN)/rung demo

test: .venv/.installed-dev  ## the tests, some of each long suite, against a real PostgreSQL of their own
	@$(BIN)/python -m pytest $(WORKERS) $(TESTS)

test-all: .venv/.installed-dev  ## all tests, the long suites whole
	@RUNG_TESTS=all $(BIN)/python -m pytest $(WORKERS) $(TESTS)

shapes: .venv/.installed-dev  ## the index advisor on every shape of statement, by work and by time (minutes)
	@RUNG_TESTS=all SHAPES=timed $(BIN)/python -m pytest $(WORKERS) tests/shapes

company: .venv/.installed-dev  ## the recorder beside those of Sentry, OpenTelemetry, New Relic and Datadog (10 MB to download once)
	@$(BIN)/python -m tests.company.peers
	@COMPANY=yes $(BIN)/python -m pytest -n 4 --dist loadscope tests/company

pythons: .venv/.installed-dev  ## the recorder's tests under each Python from 3.11 on that is here, in .venv-3.12 and so on
	@$(BIN)/python -m tests.pythons -n logical --maxprocesses 4

check: .venv/.installed-dev  ## what a program can say about the code: lint, types, arrows, docstrings, house rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --strict src
	$(BIN)/lint-imports --no-logo
	$(BIN)/interrogate --quiet src || $(BIN)/interrogate -vv --omit-covered-files src
	$(BIN)/python -m pytest -q tests/house

format: .venv/.installed-dev  ## rewrite the code in the house's layout
	$(BIN)/ruff check --fix-only --exit-zero
	$(BIN)/ruff format

docs: .venv/.installed-dev  ## write the generated pages of docs/ again
	$(BIN)/python -m docs.generate

gauntlet: .venv/.installed-dev  ## seeded faults: does find name them, do prices come true (an hour; goes on where it was ended)
	@$(BIN)/python -m benchmarks.gauntlet --resume --markdown

clean:  ## remove what the targets above made, the environment included
	rm -rf .venv .venv-3.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.installed: pyproject.toml constraints.txt
	@set -e; \
	if [ ! -x $(BIN)/python ]; then \
		for name in python3.11 python3.12 python3.13 python3.14 python3; do \
			if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$name; break; fi; \
		done; \
		if [ -z "$${python:-}" ]; then \
			echo "make: rung needs Python 3.11 or newer, and the python3 here is `python3 --version 2>/dev/null || echo missing`" >&2; \
			echo "  Install one, e.g.    apt install python3.11 python3.11-venv    or    brew install python@3.13" >&2; \
			exit 1; \
		fi; \
		if ! $$python -c 'import ensurepip, venv' 2>/dev/null; then \
			echo "make: $$python has no ensurepip, so it cannot make an environment with pip in it" >&2; \
			echo "  On Debian and Ubuntu it is a package of its own:    apt install $$python-venv" >&2; \
			exit 1; \
		fi; \
		echo "Making .venv with `$$python --version`"; \
		$$python -m venv .venv || { rm -rf .venv; exit 1; }; \
	fi
	@echo "Installing rung and what it needs into .venv (once; 470 MB on disk, half a minute and the download)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[tool]'
	@touch $@

# pip learnt --group with 25.1; Python 3.11 brings an older one.
.venv/.installed-dev: .venv/.installed
	@echo "Installing the tools for working on rung into .venv"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt pip
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --group dev
	@touch $@
