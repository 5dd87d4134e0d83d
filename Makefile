# make demo   the whole product on this machine, without Docker or a key
# make test   all tests, against real parts
# make help   the rest
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

.PHONY: help setup setup-demo system demo test test-fast test-compose test-package test-faults chaos test-pace test-demo test-real lint docs docs-links lock audit check bench bench-load bench-scale screenshots clean
.DEFAULT_GOAL := help

help: ## show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

.venv/installed-%: requirements-%.txt requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.11 ..." >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv || { echo "python3 -m venv does not work; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "Installing $< into .venv (a minute or two, once) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check -r $< || { echo "pip could not install $<: is there a network, and a C compiler? See above." >&2; exit 1; }
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

setup: .venv/installed-dev ## make .venv with everything for development

setup-demo: .venv/installed-demo

system:
	@scripts/system-packages

demo: ## run the whole product: Label Studio, Redis, backend, worker, model, sample texts
	@$(PYTHON) scripts/first-start
	@$(BIN)/allabel demo $(ARGS)

test: setup system ## the tests, on a real Redis and a real Label Studio; make test-real has the whole product's
	@$(BIN)/python -m pytest -n auto $(ARGS)

test-fast: setup ## the tests that need no services
	@$(BIN)/python -m pytest -m "not slow" -n auto --hypothesis-profile=fast $(ARGS)

test-compose: setup ## the containers, run for real: needs Docker and Docker Compose
	@ALLABEL_TEST_COMPOSE=1 $(BIN)/python -m pytest tests/compose --verbose --durations=0 $(ARGS)

test-package: setup system ## wheel and sdist, installed into environments of their own, on every Python here
	@ALLABEL_TEST_PACKAGE=1 $(BIN)/python -m pytest tests/packaging --verbose $(ARGS)

test-faults: setup system ## half an hour of kills, outages, floods and upgrades; ends with a table of figures
	@ALLABEL_TEST_FAULTS=1 $(BIN)/python -m pytest tests/faults $(ARGS)

test-pace: setup system ## a browser annotates fifty texts in a row at 4 s and at 15 s each (twenty minutes)
	@ALLABEL_TEST_REAL=1 ALLABEL_TEST_PACE=50x4,50x15 $(BIN)/python -m pytest tests/browser/test_staying_open.py -k persons_pace --verbose $(ARGS)

test-real: setup system ## the whole product: real Label Studio, Redis, worker, model and browser (half an hour)
	@ALLABEL_TEST_REAL=1 $(BIN)/python -m pytest -n auto tests/integration tests/browser $(ARGS)

test-demo: setup-demo setup system ## the demo, stopped and started again, on both kinds of Redis
	@ALLABEL_TEST_REAL=1 ALLABEL_TEST_DEMO=1 $(BIN)/python -m pytest tests/integration/test_demo.py --verbose $(ARGS)

chaos: setup system ## a quarter of an hour of people annotating while processes are killed at random; seed: make chaos SEED=7
	@ALLABEL_TEST_FAULTS=1 ALLABEL_CHAOS_SECONDS=$(or $(SECONDS),900) ALLABEL_CHAOS_SEED=$(or $(SEED),1) \
	  $(BIN)/python -m pytest tests/faults/test_chaos.py --timeout=1800 --capture=no $(ARGS)

lint: setup ## formatting, style, types, import contracts, security of the code
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/bandit --quiet --configfile pyproject.toml --recursive backend allabel_core

docs: setup ## the documentation in build/docs; every warning is an error
	@$(BIN)/python -m docs.reference.make_reference
	@$(BIN)/sphinx-build --quiet --fresh-env --fail-on-warning --keep-going --doctree-dir build/doctrees docs build/docs
	@echo "The documentation is in build/docs/index.html."

docs-links: setup ## ask every address that the documentation names; needs the internet, so CI does not
	@$(BIN)/sphinx-build --quiet --builder linkcheck --doctree-dir build/doctrees docs build/links

lock: setup ## requirements*.lock anew: all that is deployed, with hashes
	@for extra in "" -build -cluster -sbert; do \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --custom-compile-command "make lock" requirements$$extra.txt --output-file requirements$$extra.lock || exit 1; \
	done

audit: setup ## known vulnerabilities of what is deployed; asks an advisory service
	@$(BIN)/pip-audit --strict --no-deps --disable-pip $(addprefix --requirement ,$(wildcard requirements*.lock)) $(ARGS) || { echo "Either a vulnerability is listed above, or no advisory service could be asked and nothing is proven." >&2; exit 1; }

check: lint test ## what CI runs

bench: setup ## speed, side by side with peers
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-bench.txt
	@$(BIN)/python -m bench $(ARGS)
	@$(BIN)/python -m bench.llm_overhead
	@$(BIN)/python -m bench.tagging

bench-load: setup ## 1 to 50 people on 10,000 tasks beside Label Studio alone; a slow model (half an hour)
	@$(BIN)/python -m bench.load $(ARGS)

bench-scale: setup ## 1, 2 and 4 workers on one project; a project of 100,000 tasks (ten minutes)
	@$(BIN)/python -m bench.scale_out
	@$(BIN)/python -m bench.large_pool $(ARGS)

screenshots: setup setup-demo system ## the pictures of README and documentation, from a demo (twenty minutes)
	@$(BIN)/python -m docs.screenshots.make_pages

clean: ## remove environments and the demo's data
	rm -rf .venv .label-studio .demo build dist *.egg-info
