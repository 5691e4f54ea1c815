# Everything one does with a checkout. `make` alone lists it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.gotong-installed
ROOMS := api schema federation auth domain store node web tests bench
SOURCES = $(wildcard $(ROOMS))
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PEERS := bench/read/node_modules/.gotong-installed
SIZE ?= smoke
N ?= 20000
ROUNDS ?= 1
PROPERTIES = $(shell grep -rl --include='test_*.py' 'from hypothesis' tests)
SEEDS ?= 100
FIRST ?= 1
COMPILE := $(BIN)/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-header \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-url fuzz oracle sim sim-many sim-mutants check fmt docs lock compose examples audit-http bench-read bench-growth story-lights-out story-away networks bench-sync

help: ## list what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## make .venv with everything in it; needs the network the first time only

demo: setup ## run a small federation with sample data, ask it a question, show the answer
	@$(BIN)/gotong demo $(ARGS)

test: check ## lint, types, and all tests on the embedded PostgreSQL
	@$(BIN)/pytest -n 2 --dist worksteal

test-url: setup ## all tests on a PostgreSQL of yours: make test-url DATABASE_URL=postgresql://...
	@test -n "$(DATABASE_URL)" || { echo "usage: make test-url DATABASE_URL=postgresql://user@host/name" >&2; exit 2; }
	@GOTONG_TEST_DATABASE_URL="$(DATABASE_URL)" $(BIN)/pytest -n 2

fuzz: setup ## draw new examples for every property, where tests always draw the same: make fuzz ROUNDS=20
	@for round in $$(seq $(ROUNDS)); do $(BIN)/pytest -q -n 2 --hypothesis-profile=fuzz $(PROPERTIES) || exit 1; done

oracle: setup ## ask N random questions (default 20000) of the compiler and of a naive oracle: make oracle N=50000
	@GOTONG_ORACLE_EXAMPLES=$(N) $(BIN)/pytest -q --hypothesis-profile=fuzz tests/schema/test_oracle.py

sim: setup ## simulate SEEDS runs of 3 to 5 nodes with crashes, liars, partitions and wrong clocks: make sim SEEDS=1000 MOODS=rotate,move
	@$(BIN)/python -m tests.sim --seeds $(SEEDS) --first $(FIRST) $(if $(MOODS),--moods $(MOODS))

sim-many: setup ## simulate one run of 20 nodes: make sim-many FIRST=7
	@$(BIN)/python -m tests.sim --seeds 1 --nodes 20 --steps 300 --first $(FIRST)

sim-mutants: setup ## show that the simulation notices broken rules, all in tests/sim/mutants.txt: make sim-mutants MUTANTS="any-answer any-letter"
	@nice -n 5 $(BIN)/python -m tests.sim.mutants $(MUTANTS)

story-lights-out: setup ## a laptop loses cable, power, time and disk, and comes home: every step told and checked
	@$(BIN)/python -m tests.stories.lights_out

story-away: setup ## what nodes without an address take part in, by real processes
	@$(BIN)/python -m tests.stories.away

networks: setup ## three nodes on networks of the kernel: loss, NAT, cut cables, kill -9 halfway (needs root, ip and nft)
	@$(BIN)/python -m tests.stories.networks

check: setup ## lint, format and types only
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

fmt: setup ## format the code and mend what ruff can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: setup ## write docs/errors.md and docs/settings.md from the code
	@$(BIN)/python -m node.docs

compose: setup tests/compose/node_modules/.installed ## compose our subgraph with another one, as gateways do (needs npm)
	@$(BIN)/python -m schema.subgraph | node tests/compose/compose.mjs

examples: setup examples/typescript/node_modules/.installed ## run the JavaScript and shell examples against a node (needs npm and curl)
	@$(BIN)/pytest -q tests/examples/typescript.py tests/examples/curl.py

audit-http: setup tests/optional/audits/node_modules/.installed ## the 61 audits of the npm package graphql-http against a node (needs npm)
	@$(BIN)/pytest -q tests/optional/audits/audits.py

bench-read: setup $(PEERS) ## questions a second beside PostGraphile, Mercurius and pgbench: SIZE=smoke|full
	@$(BIN)/python -m bench.read --size $(SIZE)

bench-growth: setup ## the same questions at 10,000 needs and at many: SIZE=smoke|full|huge
	@$(BIN)/python -m bench.read.growth --size $(SIZE)

bench-sync: setup ## copying between nodes: pace, delay, bytes, memory: SIZE=smoke|full
	@$(BIN)/python -m bench.sync --size $(SIZE)

lock: setup ## write the lock files from requirements*.in
	@$(COMPILE) -o requirements.lock requirements.in
	@$(COMPILE) -o requirements-dev.lock requirements-dev.in
	@$(MAKE) --no-print-directory setup

$(PEERS): bench/read/package.json
	@command -v npm >/dev/null || { echo "npm is needed for the servers Gotong is measured beside" >&2; exit 1; }
	@echo "Installing the peers into bench/read/node_modules ..."
	@cd bench/read && npm install --silent --no-audit --no-fund --no-package-lock
	@touch $@

%/node_modules/.installed: %/package.json
	@command -v npm >/dev/null || { echo "npm is needed for $*" >&2; exit 1; }
	@echo "Installing into $*/node_modules ..."
	@cd $* && npm install --silent --no-audit --no-fund --no-package-lock
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Gotong needs Python 3.11 or newer; name one: make setup PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(INSTALLED): requirements.lock requirements-dev.lock pyproject.toml | $(BIN)/python
	@echo "Installing into $(VENV) ..."
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@PYTHONWARNINGS=ignore $(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@
