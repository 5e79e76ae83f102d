# Carillon. `make help` says what there is.

PYTHON ?= python3
VENV   ?= .venv
UV     ?= uv

BIN         := $(VENV)/bin
STAMP       := $(VENV)/.installed
STAMP_DEV   := $(VENV)/.installed-dev
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes
# What pip would do one file after the other takes as many processes as there are processors. Some packages carry files
# for another Python: they are left as they are.
COMPILE     := $(BIN)/python -m compileall -qq -j 0 $(VENV)/lib

.DEFAULT_GOAL := help
.PHONY: help run test soak bench lint lock clean system-packages

help: ## Show this list
	@echo "make <target>, with these variables if you like: PYTHON=python3.13 VENV=.venv-3.13"
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1	\2/p' $(MAKEFILE_LIST) | expand -t 10
	@echo
	@echo "make run takes its settings from the environment: HOST, PORT, VAR_DIR, REDIS_URL, DATABASE_URL, …"

run: $(STAMP) ## Install and run the whole site as a demo; Ctrl-C stops it
	@DEMO=$${DEMO-1} exec $(BIN)/python manage.py up

# Three processes on two processors: many tests wait for what they broke to recover.
test: $(STAMP_DEV) system-packages ## Install what the tests need and run all of them
	$(BIN)/python -m pytest --numprocesses=3 --dist=loadgroup $(ARGS)

soak: $(STAMP_DEV) system-packages ## Break everything for MINUTES (30) and check that nothing is lost
	$(BIN)/python -m tests.faults.soak --minutes $(or $(MINUTES),30) $(if $(SEED),--seed $(SEED))

bench: $(STAMP_DEV) ## Measure the site beside its peers, about 10 minutes; ARGS="--quick" or scenarios
	$(BIN)/python -m benchmarks $(ARGS)

lint: $(STAMP_DEV) ## Check style, types, import directions and templates
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	find templates notifications project -name '*.html' -exec $(BIN)/djade --check --target-version 5.2 {} +

lock: ## Write requirements*.txt anew from pyproject.toml (needs uv)
	$(UV) pip compile --quiet $(LOCK_FLAGS) --group site -o requirements.txt pyproject.toml
	$(UV) pip compile --quiet $(LOCK_FLAGS) --group site --group dev -o requirements-dev.txt pyproject.toml

clean: ## Remove virtual environments and caches; var/, where the data is, stays
	rm -rf .venv .venv-* .mypy_cache .pytest_cache .ruff_cache .import_linter_cache test-results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One lock for all supported Pythons and systems, without the name of the index it came from.
LOCK_FLAGS := --universal --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --python-version 3.11

# A requirements file is installed again only when it has changed: the stamp is younger than it.
$(STAMP): requirements.txt | $(BIN)/python
	$(PIP_INSTALL) -r requirements.txt
	@$(COMPILE) || true
	@touch $@

$(STAMP_DEV): requirements-dev.txt | $(BIN)/python
	$(PIP_INSTALL) -r requirements-dev.txt
	@$(COMPILE) || true
	@touch $@ $(STAMP)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	    { echo "Carillon needs Python 3.11, 3.12 or 3.13; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try make PYTHON=python3.12 …"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	    echo "Could not make $(VENV). On Debian and Ubuntu: apt install python3-venv"; exit 1; }

# Browser and PostgreSQL, which pip can't bring: from Debian, where we may install.
system-packages:
	@./tests/support/system_packages.sh
