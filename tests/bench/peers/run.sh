#!/usr/bin/env bash
# Compares our servers with others, and writes results.md.
#
# usage: run.sh [--rounds N] [--no-counts] [--cases TEXT] [--peers TEXT]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$here/../../../target}
# Without Node.js, or without the network, its servers are left out.
if command -v npm >/dev/null && [ ! -d "$here/node_modules" ]; then
    npm install --silent --no-package-lock --prefix "$here" || echo 'npm install failed: no servers in Node.js' >&2
fi
cargo clippy --quiet --locked --release --manifest-path "$here/Cargo.toml" --all-targets -- -D warnings
cargo build --quiet --locked --release --manifest-path "$here/Cargo.toml"
exec "$CARGO_TARGET_DIR/release/ws-peers" "$@"
