# Two commands for everybody: `make start` and `make test`. Needs Python ≥ 3.11 and nothing else.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
.DEFAULT_GOAL := help
.PHONY: help start test check bench clean

help:  ## show the commands
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*##/\t/'

start: .venv/.serve  ## a code completer: a small trained model, tuned on the code in this folder, served
	@$(BIN)/descent up complete $(ARGS)

test: .venv/.dev  ## install what the tests need, a headless browser included, and run them all
	@sh scripts/browser.sh
	@sh scripts/postgres.sh
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

check: .venv/.dev  ## lint, types, import directions, smoke tests: under a minute
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/test_tiny.py

bench: .venv/.dev  ## measure against the peers, side by side
	$(BIN)/python -m bench $(ARGS)

clean:  ## remove the environment and caches (not the runs)
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis .import_linter_cache

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Descent needs Python 3.11 or newer; found none. Debian/Ubuntu: apt install python3 python3-venv"; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "Could not make a virtual environment. Debian/Ubuntu: apt install python3-venv"; exit 1; }

.venv/.serve: pyproject.toml | .venv/bin/python
	@echo "Installing Descent into .venv (numpy, numba, fastapi, …) …"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[serve]'
	@touch $@

.venv/.dev: pyproject.toml | .venv/bin/python
	@echo "Installing the test tools into .venv (PyTorch among them, as an oracle) …"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[serve,hub,plot,dev]'
	@touch $@ .venv/.serve
