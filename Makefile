# Every target sets up what it needs in .venv, once. Needed beforehand: make, and Python 3.11 or newer.
#
# PYTHON=/path/to/python3   which Python makes .venv (else the newest tested one that is found)
# ARGS="..."                further arguments for the program that a target runs

.DEFAULT_GOAL := help
.PHONY: help demo test check bench evidence intervals dropin otel-peers docs lock clean
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
READY := $(VENV)/ready
DOCS_READY := $(VENV)/ready-docs
UV ?= uv
ARGS ?=

help: ## Say what there is
	@echo "make TARGET [ARGS=...] [PYTHON=...]"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1 \2/p' Makefile | awk '{ name = $$1; $$1 = ""; printf "  %-12s%s\n", name, $$0 }'

demo: $(READY) ## Run the guarded sample agent on the project's own documents
	@$(BIN)/coordgate demo $(ARGS)

test: $(READY) ## Run all tests
	@$(BIN)/python -m pytest -n auto $(ARGS)

check: $(READY) ## Lint, format, types, and the order of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --python-executable $(BIN)/python
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

bench: $(READY) ## Measure what a guarded node costs, against bare and hand-written ones
	@$(BIN)/python bench/run.py $(ARGS)

evidence: $(READY) ## Measure what gates bring on a pipeline of six steps, and write docs/evidence.md
	@$(BIN)/python evidence/run.py $(ARGS)

intervals: $(READY) ## Simulate how often the audit's intervals cover the truth, and write docs/audit.md
	@$(BIN)/python evidence/intervals.py $(ARGS)

dropin: $(READY) ## Run LangGraph's own tests, bare and with every node guarded
	@$(BIN)/python tests/dropin/run.py --mode observe $(ARGS)

otel-peers: $(READY) ## Send a run to Phoenix and MLflow, and ask both what they show of it
	@$(BIN)/python tests/otel_peers/run.py $(ARGS)

docs: $(DOCS_READY) ## Build the documentation as a web site, in build/site
	@$(BIN)/zensical build --strict $(ARGS)

lock: ## Take the newest releases into uv.lock and the requirement files (needs uv)
	$(UV) lock --upgrade
	@# Releases are told by name and hash. Where they come from is the business of each machine.
	@sed -E -e 's#registry = "https?://[^"]*"#registry = "build/wheels"#' \
		-e 's#url = "https?://[^"]*/([^"/]+)"#path = "\1"#g' uv.lock >uv.lock.new && mv uv.lock.new uv.lock
	$(UV) export --quiet --locked --no-emit-project --no-header --no-annotate --group dev --output-file requirements-dev.txt
	$(UV) export --quiet --locked --no-emit-project --no-header --no-annotate --only-group docs --output-file requirements-docs.txt

clean: ## Remove .venv, build/ and the caches of the tools
	rm -rf $(VENV) build dist .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# What makes .venv: a Python that is new enough and can make virtual environments, the locked
# releases with their hashes, and coordgate itself, editable. pip's own settings (index, mirror,
# certificates) apply.
$(READY): requirements-dev.txt pyproject.toml
	@python="$$($(FIND_PYTHON))" || exit 1; \
	if ! $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		echo "setting up $(VENV) with $$("$$python" --version) ($$python)"; \
		"$$python" -m venv --clear $(VENV) || exit 1; \
	fi
	@echo "installing the locked releases (about a minute the first time)"
	@$(PIP) install --quiet --quiet --no-deps -r requirements-dev.txt
	@$(PIP) install --quiet --quiet --no-deps --no-build-isolation --editable .
	@$(PIP) check >$(READY).check || { cat $(READY).check; exit 1; }
	@touch $@

$(DOCS_READY): requirements-docs.txt $(READY)
	@echo "installing the site generator"
	@$(PIP) install --quiet --quiet --no-deps -r requirements-docs.txt
	@touch $@

define FIND_PYTHON
	wanted="$${PYTHON:-python3.13 python3.12 python3.11 python3 python}"; \
	for each in $$wanted; do \
		if "$$each" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			command -v "$$each"; exit 0; \
		fi; \
	done; \
	{ echo "coordgate needs Python 3.11 or newer that can make virtual environments (venv, ensurepip)."; \
	for each in $$wanted; do \
		if version="$$("$$each" --version 2>/dev/null)"; then \
			if "$$each" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
				then echo "  $$each is $$version, without venv or ensurepip: on Debian and Ubuntu, apt-get install python3-venv"; \
				else echo "  $$each is $$version: too old"; \
			fi; \
		else echo "  $$each: not found"; fi; \
	done; \
	echo "If there is one elsewhere, name it: make PYTHON=/path/to/python3 ..."; } >&2; \
	exit 1
endef
