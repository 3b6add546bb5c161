# `make demo` shows the tool at work, `make test` runs every test; both need Rust and a C linker, and nothing else.

CARGO ?= cargo

# The folders of the builder by other names: the program would tell them, and another builder would get another program. Flags have no spaces: where a folder has, it stays.
PLACES = $(CURDIR)=. $(or $(CARGO_HOME),$(HOME)/.cargo)=cargo
FOLDERS = $(if $(word 3,$(PLACES)),,$(PLACES))
FLAGS = RUSTFLAGS="$(RUSTFLAGS) $(FOLDERS:%=--remap-path-prefix=%)" CFLAGS="$(CFLAGS) $(FOLDERS:%=-ffile-prefix-map=%)"

.PHONY: build release layout demo test bench reference reproduce clean

# The program as it is meant to be used: target/release/databricks, or target/TARGET/release/databricks
build:
	$(FLAGS) $(CARGO) build --release --locked $(if $(TARGET),--target $(TARGET))

# The same for other machines: static, and laid out for a quick start. Takes two builds, and says where it is.
release:
	@bash tests/install release
	@$(FLAGS) python3 benches/release.py

# src/start.ld: which functions `make build` puts side by side. Anew now and then, after much has changed.
layout:
	@bash tests/install release
	@$(FLAGS) python3 benches/layout.py

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

# docs/reference.md, docs/man/ and src/commands/overview.txt from the tables in src/. The scripts in completions/ are themselves a part of the program.
reference:
	UPDATE_REFERENCE=1 $(CARGO) test --quiet --locked --lib in_step_with_the_code

# Two builds in two folders: the same bytes, hardened, and nothing of the builder in them. Takes as long as two builds do.
reproduce:
	@bash tests/reproduce $(TARGET)

clean:
	$(CARGO) clean
