#!/usr/bin/env bash
# Feeds the same bytes to ws-proto, tungstenite and wsproto from PyPI: all must read the same.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
manifest=$here/Cargo.toml
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$here/../../target}
python=$("$here/../venv.sh")
cargo fmt --check --manifest-path "$manifest"
cargo clippy --quiet --locked --release --manifest-path "$manifest" --all-targets -- -D warnings
cargo run --quiet --locked --release --manifest-path "$manifest" -- "$python"
