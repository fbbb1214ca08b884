#!/usr/bin/env bash
# A short run of the benchmarks: checks counts, not measurements.
set -euo pipefail
manifest=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/Cargo.toml
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$(dirname "$manifest")/../../target}
cargo fmt --check --manifest-path "$manifest"
cargo clippy --quiet --locked --release --manifest-path "$manifest" --all-targets -- -D warnings
for benchmark in 'frames' 'frames --tls' 'idle' 'clients'; do
    # shellcheck disable=SC2086 # a list of words
    cargo run --quiet --locked --release --manifest-path "$manifest" -- $benchmark --quick
done
