# Everything from a machine with Python 3.11, pip and make. A second run installs nothing.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
TORCH  := 2.13.0
# Options that make pip find a CPU build of torch, where the plain one would bring CUDA along,
# e.g. make demo TORCH_FLAGS="--index-url ADDRESS"
TORCH_FLAGS ?=

.PHONY: help demo test test-all lint types docs readme bench clean
.DEFAULT_GOAL := help

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# The venv is current while pyproject.toml and constraints.txt are older than the stamp.
# torch first and alone: its plain dependencies are several gigabytes of CUDA on Linux.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "rlsched needs Python 3.11 or newer: got " + sys.version.split()[0] + ". Set PYTHON=/path/to/python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV); about a minute the first time."
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps $(TORCH_FLAGS) torch==$(TORCH)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: $(STAMP)  ## replay the bundled trace: table in the terminal, report in runs/demo
	$(BIN)/rlsched evaluate placement-demo --out runs/demo

test: $(STAMP) lint types  ## everything that has to hold, without the long checks
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-all: $(STAMP) lint types  ## the same, with every long check
	$(BIN)/python -m pytest -n 2

lint: $(STAMP)  ## style and import contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: $(STAMP)  ## mypy, strict
	$(BIN)/mypy

docs: $(STAMP)  ## the pages, into build/docs/index.html; needs no network, a warning is an error
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going -b html docs build/docs
	@echo "Open build/docs/index.html"

readme: $(STAMP)  ## the README's tables and picture, from the results in experiments/
	$(BIN)/python docs/results.py

bench: $(STAMP)  ## the speed figures of README and docs
	$(BIN)/rlsched bench

clean:  ## remove the virtual environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
