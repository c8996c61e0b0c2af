# What a person or a build server runs; each target first makes the virtual environment that it needs.

SHELL = /bin/sh
PYTHON ?= python3.13 python3.12 python3.11 python3
ARGS =
WORKERS = 2

BIN = .venv/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: help demo test test-slurm check format lint types imports fix schema crash-sweep two-runners bench bench-slurm clean

help:
	@echo "make demo          run recipes/speed_of_light.yaml and show its results"
	@echo "make test          run the tests, two files at once; some of them: make test ARGS='tests/unit -k recipe'"
	@echo "make test-slurm    install a small cluster on this machine, as root on Debian, and run the tests that need it"
	@echo "make check         all gates: format, lint, types, imports, test (each is a target of its own)"
	@echo "make fix           format the code and repair what the linter can"
	@echo "make schema        write the JSON Schema of recipes anew from the model"
	@echo "make crash-sweep   kill runs at every call that matters and resume them"
	@echo "make two-runners   let two runners begin at the same instant, very often, and interrupt them at any"
	@echo "make bench         measure"
	@echo "make bench-slurm   measure a thousand jobs on such a cluster, as root on Debian"
	@echo "make clean         remove .venv and the tools' caches; runs stay"
	@echo "another interpreter: make PYTHON=python3.12 test"

demo: .venv/.stamp
	@$(BIN)/matterstack run recipes/speed_of_light.yaml --table

# The tests of a file stay with one worker, which makes but once what they share; files with long ones come first.
test: .venv/.stamp-dev
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

# These tests wait for most of their time, each worker for a cluster of its own: there may be more than processors.
test-slurm: WORKERS = 4
test-slurm: .venv/.stamp-dev
	@test "$$(id -u)" = 0 || { echo "the cluster starts daemons of several users: run 'make test-slurm' as root" >&2; exit 1; }
	@tests/hpc/centre/install
	@$(BIN)/python -m pytest -m slurm -n $(WORKERS) --dist worksteal $(ARGS)

check: format lint types imports test

format: .venv/.stamp-dev
	@$(BIN)/ruff format --check .

lint: .venv/.stamp-dev
	@$(BIN)/ruff check .

types: .venv/.stamp-dev
	@$(BIN)/mypy

imports: .venv/.stamp-dev
	@$(BIN)/lint-imports --no-logo

fix: .venv/.stamp-dev
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

schema: .venv/.stamp
	@$(BIN)/python -c "from orchestrator.recipe.schema import schema_text; print(schema_text(), end='')" > build.json
	@mv build.json orchestrator/schema/recipe-v1.json

# A sweep is one long test for each call, so the limit of ordinary tests does not fit it.
crash-sweep: .venv/.stamp-dev
	@$(BIN)/python -m pytest -m crash --timeout=1800 $(ARGS)

two-runners: .venv/.stamp-dev
	@$(BIN)/python -m pytest -m race --timeout=1800 $(ARGS)

bench: .venv/.stamp
	@$(BIN)/python -m benchmarks $(ARGS)

bench-slurm: .venv/.stamp-dev
	@test "$$(id -u)" = 0 || { echo "the cluster starts daemons of several users: run 'make bench-slurm' as root" >&2; exit 1; }
	@tests/hpc/centre/install
	@$(BIN)/python -u -m benchmarks.slurm $(ARGS)

clean:
	@rm -rf .venv .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Two stamps, so that the demo does not wait for the developers' tools.
.venv/.stamp: pyproject.toml requirements.txt
	@test -x $(BIN)/python || { \
	  found=; \
	  for candidate in $(PYTHON); do \
	    if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	      found=$$candidate; \
	      break; \
	    fi; \
	  done; \
	  if test -z "$$found"; then \
	    echo "no Python 3.11 or newer found; looked for: $(PYTHON)" >&2; \
	    echo "install one, or name it: make PYTHON=/path/to/python3" >&2; \
	    exit 1; \
	  fi; \
	  if ! "$$found" -c 'import ensurepip' >/dev/null 2>&1; then \
	    echo "$$found cannot make virtual environments; on Debian: apt-get install python3-venv" >&2; \
	    exit 1; \
	  fi; \
	  echo "making .venv with $$("$$found" --version)"; \
	  "$$found" -m venv --clear .venv || { rm -rf .venv; exit 1; }; \
	}
	@echo "installing matterstack into .venv"
	@$(PIP) -r requirements.txt -e .
	@touch $@

.venv/.stamp-dev: .venv/.stamp
	@echo "installing the developers' tools into .venv"
	@$(PIP) -e '.[dev]'
	@touch $@
