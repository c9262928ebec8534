# Everything happens in a virtual environment inside the clone; nothing else is touched but pip's cache.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.10; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && { echo "$$p"; break; }; done)
VENV ?= .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed
PYTEST = $(BIN)/python -m pytest
ARGS ?=
MINUTES ?= 10
SEED ?=

.DEFAULT_GOAL := help
.PHONY: help install demo test check format lint types mutants matrix bench chaos clean

help:  ## this list
	@awk -F ':.*## *' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' Makefile

install: $(STAMP)  ## a virtual environment in .venv with everything in it

$(STAMP): pyproject.toml
	@test -n "$(PYTHON)" || { echo "simpledist needs Python 3.10 or newer: none found on the PATH" >&2; exit 2; }
	"$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $(STAMP)

demo: $(STAMP)  ## the whole story on real processes, in about a minute
	@$(BIN)/simpledist demo

test: $(STAMP)  ## the whole test suite (ARGS='-k word' for a part of it)
	$(PYTEST) $(ARGS)

check: format lint types  ## format, lint, types and the fast tests, in under a minute
	$(PYTEST) -q tests/unit tests/docs

format: $(STAMP)  ## whether the format is as `ruff format` leaves it
	$(BIN)/ruff format --check .

lint: $(STAMP)  ## ruff
	$(BIN)/ruff check .

types: $(STAMP)  ## pyright, strict
	$(BIN)/pyright

mutants: $(STAMP)  ## take one mechanism out after the other: which test misses it? (20 minutes; ARGS=ledger for a part)
	$(BIN)/python -m tests.mutants $(ARGS)

matrix: $(STAMP)  ## the short tier on corners of Python x redis-py x Redis, half an hour (ARGS=3.13 for a part)
	$(BIN)/python -m tests.matrix $(ARGS)

bench: $(STAMP)  ## beside the peers and the bare-Redis floor, in 20 minutes (ARGS=--quick: 3); see benchmarks/
	$(BIN)/python -m benchmarks.run $(ARGS)

chaos: $(STAMP)  ## every fault at once, for MINUTES=10, and what came of it (SEED=n: the same faults again)
	$(BIN)/python -m tests.faults.chaos --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

clean:  ## remove the virtual environment and all caches
	rm -rf .venv .venv-* benchmarks/.venvs build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
