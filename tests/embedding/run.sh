#!/usr/bin/env bash
# The endpoint in other event loops: the examples that register its descriptor with calloop and GLib.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$here/../..
python=$("$here/../venv.sh")
glib=$root/ws-server-mio/examples/glib/Cargo.toml
cargo fmt --check --manifest-path "$glib"
cargo clippy --quiet --manifest-path "$glib" --target-dir "${CARGO_TARGET_DIR:-$root/target}" -- -D warnings
for example in calloop glib; do
    "$here/../with_server.sh" "$example" "$python" "$here/host.py" "$example"
done
