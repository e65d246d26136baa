# One place for what a developer does. `make help` lists it.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What pytest is asked for: make test ARGS="-k sync --all"
ARGS ?=
# How many tests run side by side, each worker with servers of its own; 0: one after another. They wait more than they
# compute: two workers left two cores half idle.
JOBS ?= 3

.PHONY: help demo test test-unit test-servers lint types bench clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/demo.stamp ## Embedded PostgreSQL to a SQLite file, live; no server needed
	$(BIN)/replicator demo

# Servers that cannot be installed do not stop the suite: their tests are skipped, and its last line names them.
test: $(VENV)/dev.stamp ## Install the servers that are missing, then run all tests
	@$(MAKE) --no-print-directory test-servers || echo "make test-servers failed (see above): testing without" >&2
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

test-unit: $(VENV)/dev.stamp ## Run the tests that need no server
	$(BIN)/python -m pytest tests/unit $(ARGS)

test-servers: ## Install PostgreSQL, MariaDB and MySQL for the tests (Debian, Ubuntu)
	tests/support/install

lint: $(VENV)/dev.stamp ## Check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev.stamp ## Check types
	$(BIN)/mypy

bench: $(VENV)/dev.stamp ## Measure speed
	$(BIN)/python -m tests.bench

clean: ## Remove the virtual environment, caches and builds
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find replicator tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The virtual environment. A stamp is as new as the dependencies that were installed.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "replicator needs Python 3.11 or later, and '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." >&2; \
	    echo "Name a newer one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
	    package=$$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'); \
	    if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	        apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q $$package </dev/null; \
	    else \
	        echo "Python's venv module is missing: sudo apt-get install $$package" >&2; exit 1; \
	    fi; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.stamp: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[demo]'
	@touch $@

$(VENV)/dev.stamp: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev]'
	@touch $@ $(VENV)/demo.stamp
