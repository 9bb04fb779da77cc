PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# pip 25.1 is the first that installs dependency groups.
$(VENV)/installed: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo]' --group dev
	@touch $@

.PHONY: install
install: $(VENV)/installed ## Make .venv with everything needed to work here

.PHONY: demo
demo: $(VENV)/installed ## Show the main job: real client calls become spans, metrics and a receipt
	@$(BIN)/or-otel demo

# One environment holds one openai, and not every client goes with every other: each is a dependency group.
.envs/%/installed: pyproject.toml
	@test -x .envs/$*/bin/python || $(PYTHON) -m venv .envs/$*
	@.envs/$*/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@.envs/$*/bin/python -m pip install --quiet --disable-pip-version-check --editable . --group test --group $*
	@touch $@

.PHONY: test
test: $(VENV)/installed .envs/openai2/installed .envs/clients-a/installed .envs/clients-b/installed .envs/coexistence/installed ## Run all tests
	@$(BIN)/python -m pytest -n 2
	@.envs/openai2/bin/python -m pytest -n 2 tests/sensors
	@.envs/clients-a/bin/python -m pytest -n 2 tests/clients
	@.envs/clients-b/bin/python -m pytest -n 2 tests/clients
	@.envs/coexistence/bin/python -m pytest -n 2 tests/coexistence

.PHONY: lint
lint: $(VENV)/installed ## Style, types, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

.PHONY: coverage
coverage: test ## Write docs/coverage.md from the clients' suites
	@$(BIN)/python tools/coverage_table.py

.PHONY: referee
referee: $(VENV)/installed ## Run openai-python's own tests with and without us
	@$(BIN)/python tools/referee.py

.PHONY: bench
bench: $(VENV)/installed ## Print what watching costs, as ratios to a hand-written wrapper
	@$(BIN)/python benchmarks/calls.py

.PHONY: generate
generate: $(VENV)/installed ## Write the generated documents again
	@$(BIN)/python -c 'from or_otel import catalogue; print(catalogue.markdown(), end="")' > docs/metrics.md

.PHONY: check
check: lint test ## What CI runs
