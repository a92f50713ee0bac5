# Each target makes what it needs in .venv. Nothing is assumed but Python >= 3.11 with pip, and make.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
export OMP_WAIT_POLICY ?= passive

.PHONY: demo test test-all lint docs bench clean

demo: $(READY)
	$(BIN)/fieldloom run flows/cylinder_wake.yaml

test: $(READY)
	$(BIN)/python -m pytest -m "not slow"

test-all: $(READY)
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY)
	$(BIN)/python docs/generate.py
	$(BIN)/sphinx-build -W --keep-going -q docs docs/_build

bench: $(READY)
	$(BIN)/python benchmarks/run.py

clean:
	rm -rf .venv .fieldloom docs/_build docs/reference .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

$(READY): requirements-dev.txt constraints.txt pyproject.toml $(wildcard plugins/*/pyproject.toml)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "fieldloom needs Python 3.11 or newer; set PYTHON=python3.x")'
	@echo "installing into .venv; this takes about two minutes"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt -c constraints.txt
	touch $(READY)
