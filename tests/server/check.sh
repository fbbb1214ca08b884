#!/usr/bin/env bash
# Checks that the test servers and clients are formatted and compile without warnings.
set -euo pipefail
manifest=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/Cargo.toml
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$(dirname "$manifest")/../../target}
cargo fmt --check --manifest-path "$manifest"
cargo clippy --quiet --locked --release --manifest-path "$manifest" --all-targets -- -D warnings
