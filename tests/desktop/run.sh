#!/usr/bin/env bash
# The desktop example with its window on a virtual display and its page in headless Chromium.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
example=$root/ws-server-mio/examples/desktop/Cargo.toml
test=$here/Cargo.toml
# Both are separate packages, with their own lock files.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}
for manifest in "$example" "$test"; do
    cargo fmt --check --manifest-path "$manifest"
    cargo clippy --quiet --locked --release --manifest-path "$manifest" --all-targets -- -D warnings
done
cargo test --quiet --locked --release --manifest-path "$example"
cargo build --quiet --locked --release --manifest-path "$example"
cargo run --quiet --locked --release --manifest-path "$test" -- "$CARGO_TARGET_DIR/release/desktop"
