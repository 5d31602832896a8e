# `make` alone lists what there is.

SHELL := /bin/bash
# Of another environment that may be active: .venv is the one that counts.
unexport PYTHONHOME PYTHONPATH VIRTUAL_ENV
# Images of containers set it. Every process would then compile all modules that it imports.
unexport PYTHONDONTWRITEBYTECODE

QUICK := not browser and not slow

.PHONY: help run test tests check screenshots lint environment test-tools soak benchmark clean

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name does; \
	    do printf '  make %-12s %s\n' "$$name" "$$does"; done

run: ## set everything up and serve at http://HOST:PORT (default http://127.0.0.1:8000)
	@scripts/environment run
	@.venv/bin/python manage.py prepare
	@exec .venv/bin/python -m gunicorn --config python:neuralflow.gunicorn_conf neuralflow.wsgi

test: environment test-tools ## set everything up and test everything
	@.venv/bin/python manage.py collectstatic --no-input --verbosity 0
	@$(MAKE) --no-print-directory --jobs=2 --keep-going lint tests

tests: # beside lint: neither of two cores is idle while the other works
	.venv/bin/python -m pytest -n 2 --dist loadgroup --durations=10 $(ARGS)

check: environment lint ## before each commit: format, lint, types, layers, quick tests
	.venv/bin/python -m pytest -n 2 --dist loadgroup -q -m "$(QUICK)" $(ARGS)

screenshots: environment test-tools ## pictures of every page, in test-results: wide and on a phone, light and dark
	@.venv/bin/python manage.py collectstatic --no-input --verbosity 0
	TEST_LOOKS=all .venv/bin/python -m pytest -n 2 -q tests/browser/test_every_page.py

lint: environment ## format, lint, types and layers only
	@.venv/bin/ruff format --check --quiet . || { .venv/bin/ruff format --diff --quiet .; exit 1; }
	@.venv/bin/ruff check --quiet .
	@.venv/bin/djlint --quiet --lint web/templates api/templates accounts/templates
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-cache > .lint-imports.log || { cat .lint-imports.log; exit 1; }

environment: ## make .venv what uv.lock says, with the tools of developers
	@scripts/environment dev

test-tools: ## install what the tests use beside Python packages, where that is possible
	@scripts/test-tools

soak: environment test-tools ## attack the store for hours; SOAK_SCALE=0.1 for a tenth, ARGS=kills for one
	.venv/bin/python -m tests.harness $(ARGS)

benchmark: environment ## how fast the store is beside others; ARGS=--quick for a first look
	.uv/bin/uv run --frozen --group bench python -m benchmarks $(ARGS)

clean: ## remove the environment and what was built; your data stays
	rm -rf .venv .uv .tools staticfiles test-results .mypy_cache .ruff_cache .pytest_cache .hypothesis
