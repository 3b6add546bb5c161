# `make demo` shows the tool at work, `make test` runs every test; both need Rust and a C linker, and nothing else.

CARGO ?= cargo

.PHONY: build release demo test bench reference clean

# The program as it is meant to be used: target/release/databricks
build:
	$(CARGO) build --release --locked

# The same for other machines: static, and laid out for a quick start. Takes two builds, and says where it is.
release:
	@bash tests/install release
	@python3 benches/release.py

demo:
	$(CARGO) build --quiet --locked --bin databricks --example workspace
	@bash tests/demo

test:
	@bash tests/install
	$(CARGO) fmt --all --check
	$(CARGO) clippy --quiet --locked --workspace --all-targets -- -D warnings
	@# With the signals of a new process, also where somebody started this with nohup.
	env --default-signal $(CARGO) test --locked

# Whole processes against `true`, a raw request and curl; writes docs/performance.md. Fails no build.
bench:
	@bash tests/install bench
	@python3 benches/run

# docs/reference.md and docs/man/ from the tables in src/. The scripts in completions/ are themselves a part of the program.
reference:
	UPDATE_REFERENCE=1 $(CARGO) test --quiet --locked --lib in_step_with_the_code

clean:
	$(CARGO) clean
