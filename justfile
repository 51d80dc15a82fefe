# List the recipes.
default:
    @just --list

# Install system packages with apt where root or sudo allows; says what it does.
setup:
    @sh .ci/setup

# Build the pfs command, optimized, with every feature that this host supports.
build: setup
    cargo build --release --features "$(sh .ci/features)" -p pfs-control

# Run real captures through every backend that this host grants, and compare digests.
smoke: build
    "${CARGO_TARGET_DIR:-target}"/release/pfs smoke

# Check format, lints and docs; run all tests, the model checks and the fuzz corpora.
test: setup lint
    cargo test --workspace --features "$(sh .ci/features all)"
    RUSTFLAGS="--cfg loom" cargo test -p pfs-rings --lib --release --target-dir target/loom

# Format, clippy and docs, on default features and on all that this host can build.
lint:
    cargo fmt --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo clippy --workspace --all-targets --features "$(sh .ci/features all)" -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --features "$(sh .ci/features all)"

# Measure against the peers that are installed; each row checks its answer.
bench *ARGS: setup
    cargo build --release -p pfs-bench --features "$(sh .ci/features)" --bins
    "${CARGO_TARGET_DIR:-target}"/release/all {{ARGS}}

# Install the peers that benchmarks compare with: by apt, and tokenizers from PyPI and crates.io.
bench-peers:
    @sh .ci/apt-install tcpdump netsniff-ng dpdk dpdk-dev libdpdk-dev python3-venv
    @sh bench/token/install-peers

# Rebuild the committed XDP object from its source (needs clang).
ebpf:
    sh ebpf/build-object

# Fuzz one target for SECONDS (needs the nightly toolchain and cargo-fuzz).
fuzz TARGET SECONDS="60":
    cargo +nightly fuzz run {{TARGET}} -- -max_total_time={{SECONDS}}

# Remove what builds and runs have made.
clean:
    cargo clean
    rm -rf fuzz/target fuzz/artifacts
