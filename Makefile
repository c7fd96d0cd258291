# What a user types. Needs Python 3.11 or later and make; nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN_STAMP := $(VENV)/.requirements
DEV_STAMP := $(VENV)/.requirements-dev
SOURCES := app.py config helpers services routes benchmarks tests

.DEFAULT_GOAL := help
.PHONY: help run demo test check lint format bench clean pin

help:  ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 10

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Ammon needs Python 3.11 or later; try: make PYTHON=python3.11 ...")'
	@$(PYTHON) -m venv $(VENV)

# The package installer runs only when the requirements have changed.
$(RUN_STAMP): requirements.txt constraints.txt | $(VENV)/bin/python
	@echo "installing the requirements into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -c constraints.txt
	@touch $@

$(DEV_STAMP): requirements-dev.txt $(RUN_STAMP)
	@echo "installing what the tests need into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt -c constraints.txt
	@touch $@

run: $(RUN_STAMP)  ## serve on http://127.0.0.1:8000 and refresh in the background
	@exec $(BIN)/gunicorn --config config/gunicorn.py 'app:create_app()'

demo: $(RUN_STAMP)  ## the whole job without a network, from a small example upstream
	@AMMON_CONFIG_DIR=config/demo exec $(BIN)/python -m helpers.example_upstream.demo \
		$(BIN)/gunicorn --config config/gunicorn.py 'app:create_app()'

test: $(DEV_STAMP)  ## run the tests
	@$(BIN)/python -m pytest

check: lint test  ## format, lint, types and tests: what CI runs

lint: $(DEV_STAMP)  ## format, lint and types
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy --strict app.py config helpers services routes benchmarks

format: $(DEV_STAMP)  ## format the code and mend what the linter can
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

bench: $(DEV_STAMP)  ## run the benchmarks (benchmarks/README.md)
	@$(BIN)/python -m benchmarks

pin: $(DEV_STAMP)  ## write constraints.txt from what is installed
	@$(BIN)/python -m pip freeze --exclude-editable | grep -viE '^(pip|setuptools|wheel)=' > constraints.txt

clean:  ## remove what was built, not what was fetched
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
