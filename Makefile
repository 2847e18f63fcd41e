.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: help setup up down test lint fmt gen check-gen bench lock

help: ## List these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(READY) ## Make .venv with everything pinned in requirements.lock

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

up: setup ## Run the whole system here; Ctrl-C stops it
	@$(BIN)/reelgate up

down: setup ## Stop a system that runs detached
	@$(BIN)/reelgate down

test: setup ## Run all tests
	$(BIN)/pytest -q -n 2 --dist loadscope --no-loadscope-reorder

lint: setup ## Check style, types, import contracts and protos
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf format --diff --exit-code protos
	$(BIN)/python -m protos.checks

fmt: setup ## Format Python and protos
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/buf format --write protos

gen: setup ## Generate gen/, deploy/envoy/ and the reference pages anew
	$(BIN)/python -m protos.generate
	$(BIN)/python -m services.edge render > deploy/envoy/envoy.yaml
	$(BIN)/python -m docs.reference

check-gen: setup ## Fail if what is generated differs from what is committed
	$(BIN)/python -m protos.check_generated

bench: setup ## Measure speed; writes build/bench.json
	$(BIN)/python -m tests.bench

lock: setup ## Pin the newest allowed versions in requirements.lock
	$(BIN)/uv pip compile --quiet --upgrade pyproject.toml --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate -o requirements.lock
