#!/usr/bin/env bash
# A short run of the benchmarks: checks counts, not measurements. The comparison with others is only linted.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
manifest=$here/Cargo.toml
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$here/../../target}
for package in "$manifest" "$here/peers/Cargo.toml"; do
    cargo fmt --check --manifest-path "$package"
    cargo clippy --quiet --locked --release --manifest-path "$package" --all-targets -- -D warnings
done
for benchmark in 'frames' 'frames --tls' 'idle' 'clients'; do
    # shellcheck disable=SC2086 # a list of words
    cargo run --quiet --locked --release --manifest-path "$manifest" -- $benchmark --quick
done
