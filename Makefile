PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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
test: $(VENV)/installed .envs/openai2/installed .envs/clients-a/installed .envs/clients-b/installed .envs/coexistence/installed .envs/distro/installed ## Run all tests
	@$(BIN)/python -m pytest -n 2
	@.envs/openai2/bin/python -m pytest -n 2 tests/sensors
	@.envs/clients-a/bin/python -m pytest -n 2 tests/clients
	@.envs/clients-b/bin/python -m pytest -n 2 tests/clients
	@.envs/coexistence/bin/python -m pytest -n 2 tests/coexistence
	@.envs/distro/bin/python -m pytest -n 2 tests/test_starts.py -k service

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
	@$(BIN)/python -m or_otel.dashboards dashboards

.PHONY: dashboards-test
dashboards-test: stack $(VENV)/installed ## Ask every query of every board of a real Prometheus
	@$(BIN)/python -m pytest tests/dashboards

# Chromium is not installed by this; name one in CHROMIUM if it stands elsewhere.
.PHONY: pictures
pictures: stack $(VENV)/installed ## Draw the boards into docs/images (needs Node and Chromium)
	@cd tools/render && npm ci --ignore-scripts --no-audit --no-fund && npm run build
	@$(BIN)/python tools/render/pictures.py docs/images

.PHONY: stack
stack: ## Build the collector, Prometheus and Alertmanager into .stack (needs Go)
	@$(PYTHON) stack/build.py

.PHONY: stack-up
stack-up: stack ## Run them on loopback, without containers
	@$(PYTHON) stack/native.py

.PHONY: stack-test
stack-test: stack $(VENV)/installed ## Test the stack with the real programs
	@$(BIN)/python -m pytest tests/stack

.PHONY: stack-env
stack-env: ## Write .env and .secrets for docker compose
	@$(PYTHON) stack/prepare.py

.PHONY: stack-demo-env
stack-demo-env: ## The same for the simulated OpenRouter
	@$(PYTHON) stack/prepare.py --demo

.PHONY: check
check: lint test ## What CI runs
