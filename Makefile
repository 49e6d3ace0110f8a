# Two commands are enough: `make serve` and `make test`. Each makes .venv when it has to, and is quick when it has not.

PYTHON ?= python3
UV     ?= $(if $(wildcard $(BIN)/uv),$(BIN)/uv,uv)
ARGS   ?=
SBOM   ?= dist/khorgos-sbom.cdx.json

VENV := .venv
BIN  := $(VENV)/bin

# A stamp is written only after the last step went well, so an install that breaks off is begun again.
RUNTIME := $(VENV)/.installed-runtime
DEV     := $(VENV)/.installed-dev

PIP     := $(BIN)/python -m pip --disable-pip-version-check -qq
LOCKS   := requirements.lock requirements-build.lock requirements-dev.lock
COMPILE := pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras \
           --no-header --no-annotate --no-emit-index-url $(LOCKFLAGS)

.DEFAULT_GOAL := help
.PHONY: help serve test suite torture lint style types bench format lock audit sbom clean

help: ## what there is to run
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo '  PYTHON=python3.12 picks the interpreter that .venv is made with (make clean first if it exists)'

serve: $(RUNTIME) ## install if needed, then run the service; ARGS="--port 9000" are handed on
	$(BIN)/khorgos serve $(ARGS)

test: style ## everything that must hold: style, types, tests on both engines, coverage; ARGS go to pytest
	@$(MAKE) --no-print-directory --jobs 2 types suite

suite: $(DEV)
	$(BIN)/pytest --numprocesses auto --dist load --cov $(ARGS)

torture: $(DEV) ## the long forms of the tests of faults; prints what it measured; ARGS go to pytest
	KHORGOS_TORTURE=1 $(BIN)/pytest -m 'torture or long' --numprocesses auto --dist worksteal $(ARGS)

lint: style types ## style and types alone

style: $(DEV)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(DEV)
	$(BIN)/mypy app

bench: $(RUNTIME) ## measure against peers in one run, as ratios; ARGS="--rows 100000" are handed on
	$(BIN)/python benchmarks/bench.py $(ARGS)

format: $(DEV) ## put the code in order
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock: ## pin the dependencies anew (needs uv); LOCKFLAGS=--upgrade takes newer versions
	@command -v $(UV) >/dev/null || { echo 'make lock needs uv: $(BIN)/pip install uv'; exit 1; }
	$(UV) $(COMPILE) pyproject.toml --extra dev --output-file requirements-dev.lock
	$(UV) $(COMPILE) pyproject.toml --extra all --constraint requirements-dev.lock --output-file requirements.lock
	$(UV) $(COMPILE) --group build --constraint requirements-dev.lock --output-file requirements-build.lock
	@! grep -n '://' $(LOCKS) || { echo 'a lock must not name where it came from'; exit 1; }

audit: $(DEV) ## ask for known vulnerabilities of all that is locked; AUDITFLAGS="-s osv" asks another source
	$(BIN)/python .ci/audit.py $(BIN)/pip-audit $(LOCKS) -- $(AUDITFLAGS)

sbom: $(DEV) ## list all that the service is made of, with hashes, as CycloneDX in dist/
	@mkdir -p $(dir $(SBOM))
	$(BIN)/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --mc-type application \
		--output-reproducible --output-format JSON --output-file $(SBOM)

clean: ## remove .venv, caches and reports; databases stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .schemathesis .coverage .coverage.* htmlcov dist
	find app migrations tests -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

define make_venv
@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || { \
	echo "Khorgos needs Python 3.11, 3.12 or 3.13, and '$(PYTHON)' is $$($(PYTHON) --version 2>&1)."; \
	echo "Name one that fits: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
endef

# Gone or dangling, as when the system's Python is replaced: then both stamps are stale.
$(BIN)/python: ;

$(RUNTIME): requirements.lock requirements-build.lock pyproject.toml $(BIN)/python
	$(make_venv)
	@echo 'Installing into $(VENV), once ...'
	@rm -f $@
	@$(PIP) install --require-hashes -r requirements.lock -r requirements-build.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# The development lock holds the runtime one, so a fresh DEV makes RUNTIME fresh too.
$(DEV): requirements-dev.lock requirements.lock pyproject.toml $(BIN)/python
	$(make_venv)
	@echo 'Installing into $(VENV), with what the tests need, once ...'
	@rm -f $@ $(RUNTIME)
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $(RUNTIME) $@
