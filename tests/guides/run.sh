#!/usr/bin/env bash
# The Rust in the guides compiles, and their programs do what the text says.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$here/../../target}
# A separate package, with its own lock file.
cargo fmt --check --manifest-path "$here/Cargo.toml"
cargo clippy --quiet --locked --manifest-path "$here/Cargo.toml" --all-targets -- -D warnings
cargo test --quiet --locked --manifest-path "$here/Cargo.toml" --test '*'
cargo test --quiet --locked --manifest-path "$here/Cargo.toml" --doc
# The Node.js program behaves like the Rust one.
[ -d "$here/../interop/node_modules/ws" ] || npm install --silent --prefix "$here/../interop"
node "$here/run.mjs" "$CARGO_TARGET_DIR/debug/room"
