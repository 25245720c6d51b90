# Shortcuts for what a contributor runs. `just --list` shows them; ./check stays the one definition of what must hold.

# List the recipes.
default:
    @just --list

# The inner loop: formatting, unit tests, quick integration tests.
test-fast:
    ./check --fast

# Everything that must hold before a change lands.
test:
    ./check

# Also what takes too long for every change; records the run in docs/internals/testing.md.
test-full:
    ./check --full

# Install what the optional tests need, then run everything, as CI does.
ci:
    CI=true .ci/run

# One relation against its rows worked out by hand: `just slt rating/rated_usage`.
slt NAME:
    CONTO_CASE={{NAME}} cargo test --quiet --test conto relations::every

# All error messages against the catalog in tests/errors; `just errors --write` writes what the program prints now.
errors *WRITE:
    {{ if WRITE == "--write" { "CONTO_WRITE_ERRORS=1" } else { "" } }} cargo test --quiet --test conto errors::

# The examples of every rule file in the repository.
rules:
    cargo test --quiet --test conto rules::

# One integration test or one module, with what it prints: `just one closing::`.
one FILTER:
    cargo test --test conto -- --nocapture {{FILTER}}

# Transcripts in tests/cli and the documentation; `just transcripts --write` writes what the program prints now.
transcripts *WRITE:
    {{ if WRITE == "--write" { "TRYCMD=overwrite" } else { "" } }} cargo test --quiet --test conto cli::

# The killed program, many times.
kills COUNT="1000":
    CONTO_KILLS={{COUNT}} cargo test --test conto -- --nocapture crash:: live::lake_in_store::

lint:
    cargo fmt --check
    cargo clippy --all-targets --quiet -- -D warnings

# API documentation; its first page is the map of the modules.
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --open

# The inner steps of a run, one by one.
bench *ARGUMENTS:
    cargo bench --bench steps -- {{ARGUMENTS}}

# The nightly benchmark beside DuckDB: `just bench-nightly table --scale 0.01`.
bench-nightly *ARGUMENTS:
    cargo build --release
    python3 benches/nightly/nightly.py {{ARGUMENTS}}

# Licences and duplicate versions of all packages in Cargo.lock.
deny:
    cargo deny --log-level error check bans licenses sources

# Known vulnerabilities of these packages; needs the network.
audit:
    cargo deny check advisories
