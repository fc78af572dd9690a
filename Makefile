# Each target makes what it needs, from CPython 3.10+ and make alone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet -c constraints.txt
RUN_STAMP := $(VENV)/.run-stamp
DEV_STAMP := $(VENV)/.dev-stamp
PEERS_STAMP := $(VENV)/.peers-stamp
SDKS_STAMP := $(VENV)/.sdks-stamp
DISTRIBUTED_STAMP := $(VENV)/.distributed-stamp
DOCS_STAMP := $(VENV)/.docs-stamp
AZURITE := $(VENV)/azurite/node_modules/.bin/azurite-blob

# Tests, benchmarks and Airflow start thousands of processes: each module is compiled once, as in an installation.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo ui simulator test test-ui test-distributed lint format chaos bench-bulk bench-import bench-transfers bench-waiting bench-waiting-live bench-sdks bench-callbacks bench-videos bench-by-hand docs docs-linkcheck build release-check clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("CPython 3.10 or later is needed; found " + sys.version.split()[0] + ". Set PYTHON=/path/to/python3.11") if sys.version_info < (3, 10) else None'
	$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing Airflow and the package into $(VENV) (a few minutes the first time) ..."
	$(PIP) --upgrade pip
	$(PIP) -e '.[simulator]'
	@touch $@

$(DEV_STAMP): $(RUN_STAMP)
	@echo "Installing the object stores' providers and the test tools into $(VENV) ..."
	$(PIP) -e '.[s3,gcs,azure,simulator]' --group test --group lint
	@touch $@

$(AZURITE): | $(VENV)/bin/python
	@if command -v npm >/dev/null; then \
	  echo "Installing Azurite, the emulator of Azure Blob Storage, into $(VENV)/azurite ..."; \
	  npm install --silent --no-audit --no-fund --prefix $(VENV)/azurite azurite@3.35.0 \
	  || echo "Azurite could not be installed: the tests of Azure are skipped."; \
	else echo "npm is not installed: the tests of Azure are skipped."; fi

$(PEERS_STAMP): $(DEV_STAMP)
	$(PIP) --group bench
	@touch $@

$(DISTRIBUTED_STAMP): $(DEV_STAMP)
	$(PIP) --group distributed
	@touch $@

$(SDKS_STAMP): $(DEV_STAMP)
	$(PIP) --group sdks
	@touch $@

$(DOCS_STAMP): $(RUN_STAMP)
	$(PIP) --group docs --group release
	@touch $@

demo: $(RUN_STAMP)  ## render with every vendor on the simulator; the videos are stored in ./demo-output
	@exec $(BIN)/python scripts/demo.py

ui: $(RUN_STAMP)  ## Airflow's UI beside the simulator: connections, DAGs, a first run, the Videos page; Ctrl-C stops all
	@exec $(BIN)/python scripts/ui.py $(ARGS)

simulator: $(RUN_STAMP)  ## serve the APIs of all vendors on port 8099
	@exec $(BIN)/python -m airflow_video_providers.simulator --port 8099

test: $(DEV_STAMP) $(AZURITE)  ## the whole test suite
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

test-ui: $(DEV_STAMP)  ## a user's way through Airflow's UI in Chromium (5 minutes)
	$(BIN)/python -m pytest tests/integration/ui -m ui

lint: $(DEV_STAMP)  ## ruff, mypy strict, and the arrows of the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEV_STAMP)  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

chaos: $(DEV_STAMP)  ## disturb a real Airflow at every point of a task's life, and count the renders (ARGS="--help")
	@exec $(BIN)/python benchmarks/chaos.py $(ARGS)

test-distributed: $(DISTRIBUTED_STAMP)  ## bulk tasks on PostgreSQL, Redis and Celery, while all parts are killed (ARGS="--help"; an hour)
	@exec $(BIN)/python benchmarks/distributed.py $(ARGS)

bench-bulk: $(DEV_STAMP)  ## what a render costs in a bulk task, and as mapped tasks, on a live Airflow (ARGS="--help"; an hour)
	@exec $(BIN)/python benchmarks/bench_bulk.py $(ARGS)

bench-import: $(DEV_STAMP)  ## what importing the package adds to importing airflow.sdk
	$(BIN)/python benchmarks/bench_import.py

bench-transfers: $(PEERS_STAMP)  ## transfers against their peers and the physical limit (5 minutes)
	$(BIN)/python benchmarks/bench_transfers.py

bench-waiting: $(DEV_STAMP)  ## what waiting costs: vendor requests, event loop, memory, schedule (20 minutes)
	$(BIN)/python benchmarks/bench_waiting.py

bench-waiting-live: $(DEV_STAMP)  ## the same for a whole Airflow with PostgreSQL, and waits under load (25 minutes)
	$(BIN)/python benchmarks/bench_waiting_live.py

bench-callbacks: $(DEV_STAMP)  ## how soon callbacks end waits, a burst of them, and 100,000 bad ones (20 minutes)
	$(BIN)/python benchmarks/bench_callbacks.py

bench-videos: $(DEV_STAMP)  ## the Videos page with 5,000 renders, in Chromium, on SQLite and PostgreSQL (10 minutes)
	$(BIN)/python benchmarks/bench_videos_page.py

bench-sdks: $(SDKS_STAMP)  ## how many renders the vendors' own SDKs and this package buy when something goes wrong (2 minutes)
	$(BIN)/python benchmarks/bench_vendor_sdks.py

bench-by-hand: $(DEV_STAMP)  ## this package against HttpOperator, HttpSensor and HttpToS3Operator: lines, renders, memory, faults (3 minutes)
	$(BIN)/python benchmarks/bench_by_hand.py

docs: $(DOCS_STAMP)  ## the docs in docs/_build/html, from docs/; a warning is an error
	$(BIN)/python scripts/vendor_index.py
	$(BIN)/python -m sphinx -W --keep-going -q -j 2 -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

docs-linkcheck: $(DOCS_STAMP)  ## ask every address of another site in the docs (needs the internet)
	$(BIN)/python -m sphinx -q -b linkcheck docs docs/_build/linkcheck

build: $(DOCS_STAMP)  ## wheel and sdist in ./dist
	$(BIN)/python -m build

release-check: $(DOCS_STAMP)  ## build wheel and sdist, check them, and run the README's DAG in an empty environment (4 minutes)
	@exec $(BIN)/python scripts/release_check.py

clean:  ## remove what the targets made
	rm -rf $(VENV) build dist demo-output .demo .ui docs/_build
