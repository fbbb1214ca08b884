#!/usr/bin/env bash
# A short run of the benchmarks: checks counts, not measurements.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
manifest=$here/Cargo.toml
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$here/../../target}
cargo fmt --check --manifest-path "$manifest"
cargo fmt --check --manifest-path "$here/peers/Cargo.toml"
cargo clippy --quiet --locked --release --manifest-path "$manifest" --all-targets -- -D warnings
for benchmark in 'frames' 'frames --tls' 'idle' 'clients'; do
    # shellcheck disable=SC2086 # a list of words
    cargo run --quiet --locked --release --manifest-path "$manifest" -- $benchmark --quick
done
