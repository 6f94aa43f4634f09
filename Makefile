# Everything a developer or CI calls. `make demo` and `make test` set up what they need by themselves.
.DEFAULT_GOAL := help
.PHONY: help setup demo test torture check bench lock clean

# A distribution's own Python is built with all optimisations; one that was built by hand often is not, and a sixth slower.
PYTHON ?= $(shell { /usr/bin/python3.11 -c 'import ensurepip, venv' 2>/dev/null && echo /usr/bin/python3.11; } || command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3.14 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
STAMP := $(VENV)/.native
NATIVE := native/Cargo.toml native/Cargo.lock native/pyproject.toml $(wildcard native/src/*.rs)

help:  ## say what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

setup: $(STAMP)  ## install the locked dependencies and the program into .venv

$(INSTALLED): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' || { echo "Python 3.11 to 3.14 is needed; set PYTHON=/path/to/python3.11"; exit 1; }
	@# One that works is kept: another Python over it would leave it half of each.
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV) || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq python3-venv && $(PYTHON) -m venv $(VENV); } || { echo "python3-venv is needed: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

# The native module is built where Rust's cargo is; elsewhere Python does its work, more slowly.
$(STAMP): $(INSTALLED) $(NATIVE)
	@if command -v cargo >/dev/null; then \
	  PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps ./native; \
	else echo 'cargo is not here: without the native module all works, more slowly (docs/performance.md)'; fi
	@# Once, as any installation does: it would be done at each start where PYTHONDONTWRITEBYTECODE is set.
	@$(BIN)/python -m compileall -q shipper
	@touch $@

demo: $(STAMP)  ## run the main job on embedded parts and show what arrived
	@$(BIN)/shipper demo

test: $(STAMP)  ## run all tests, real Elasticsearch servers included
	$(BIN)/python -m pytest

torture: $(STAMP)  ## the seeded faults at length: TORTURE_SEEDS=n, TORTURE_SCENES=n, TORTURE_MINUTES=n; TORTURE_SEED=s for one again
	TORTURE_SEEDS=$${TORTURE_SEEDS:-25} TORTURE_SCENES=$${TORTURE_SCENES:-2} $(BIN)/python -m pytest tests/torture -v

check: $(STAMP)  ## lint, formatting, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)  ## CPU seconds per 100,000 events, events per second, peak memory; what each enrichment costs
	$(BIN)/python -m bench
	$(BIN)/python -m bench.enrichment

COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url

lock: $(STAMP)  ## write the hash-locked requirements anew
	$(COMPILE) --upgrade --all-extras --group dev pyproject.toml -o requirements/dev.txt
	$(COMPILE) --constraint requirements/dev.txt pyproject.toml -o requirements/runtime.txt
	$(COMPILE) --constraint requirements/dev.txt --extra demo pyproject.toml -o requirements/demo.txt
	$(COMPILE) --constraint requirements/dev.txt --extra parquet pyproject.toml -o requirements/parquet.txt
	printf 'hatchling\nmaturin\n' | $(COMPILE) --constraint requirements/dev.txt - -o requirements/build.txt

clean:  ## remove what was built
	rm -rf $(VENV) native/target .mypy_cache .ruff_cache .pytest_cache .hypothesis
