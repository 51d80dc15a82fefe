# List the recipes.
default:
    @just --list

# Install system packages with apt where root or sudo allows; says what it does.
setup:
    @sh .ci/setup

# Build pfs and pfs-bench, optimized, with every feature that this host supports.
build: setup
    cargo build --release --features "$(sh .ci/features)" -p pfs-control -p pfs-bench

# Run real captures through every backend that this host grants, and compare digests.
smoke: build
    "${CARGO_TARGET_DIR:-target}"/release/pfs smoke

# Run smoke over real drivers of emulated cards, in a virtual machine: `all`, or kernels (5.10, 6.1, 6.12).
vm-test *ARGS: build
    @sh .ci/vm/run {{ARGS}}

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

# Measure against the peers that are installed, some minutes; refreshes docs/PERFORMANCE.md.
bench *ARGS: build
    "${CARGO_TARGET_DIR:-target}"/release/pfs-bench all --markdown docs/PERFORMANCE.md {{ARGS}}

# Count instructions of kernels and rings by callgrind; fails when one rose. `--renew` keeps new ones.
gate *ARGS: build
    "${CARGO_TARGET_DIR:-target}"/release/pfs-bench gate {{ARGS}}

# Install the peers that benchmarks compare with: by apt, from PyPI and crates.io. Some minutes.
bench-peers:
    @sh .ci/apt-install tcpdump netsniff-ng dpdk dpdk-dev libdpdk-dev python3-venv redis-server valgrind
    @sh bench/token/install-peers
    @sh bench/vec/install-peers
    cargo build --release --locked --manifest-path bench/kv/peers/Cargo.toml

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
