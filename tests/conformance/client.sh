#!/usr/bin/env bash
# Runs the Autobahn cases against a client: an example of either adapter, built in release.
#
# usage: client.sh EXAMPLE [CASES] [--write] [-- ARGUMENT...]
#   The ARGUMENTs follow the suite's URL on the example's command line.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$here/../..
example=$1
shift
cargo build --quiet --release --manifest-path "$root/Cargo.toml" --workspace --example "$example" \
    --features "${FEATURES:-}"
python=$("$here/../venv.sh")
"$python" "$here/test_tap.py" --quiet
exec "$python" "$here/suite.py" "${CARGO_TARGET_DIR:-$root/target}/release/examples/$example" "$@"
