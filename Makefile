# make demo | test | check | fuzz: each makes its own environment first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test check fuzz lint wheel clean

$(INSTALLED): setup.py requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; assert (3, 11) <= sys.version_info < (3, 14), "Python 3.11, 3.12 or 3.13 is needed: make PYTHON=python3.12"'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: $(INSTALLED)  ## the whole job on generated pictures
	$(BIN)/lookalike demo --output demo-output --overwrite

test: $(INSTALLED)  ## the whole test suite
	$(BIN)/python -m pytest

check: lint test wheel  ## what CI runs

fuzz: $(INSTALLED)  ## damaged pictures and artefacts, many more than the tests take
	$(BIN)/python -m tests.fuzz --pictures 100000 --artifacts 5000

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

wheel: $(INSTALLED)  ## the built packages, installed away from the checkout
	sh .ci/check_wheel $(BIN)/python

clean:
	rm -rf $(VENV) build dist *.egg-info demo-output .mypy_cache .pytest_cache .ruff_cache .hypothesis
