#!/usr/bin/env bash
# Both ends send at once, read slowly or vanish: both adapters with default settings, against themselves, each other
# and other libraries.
#
# usage: run.sh [TEXT]
#   TEXT  only the checks whose names contain it
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$here/../../target}
# A separate package, with its own lock file.
cargo fmt --check --manifest-path "$here/Cargo.toml"
cargo clippy --quiet --locked --release --manifest-path "$here/Cargo.toml" --all-targets -- -D warnings
cargo build --quiet --locked --release --manifest-path "$here/Cargo.toml"
python=$("$here/../venv.sh")
[ -d "$here/../interop/node_modules/ws" ] || npm install --silent --prefix "$here/../interop"
BUILT=$CARGO_TARGET_DIR/release "$python" "$here/duplex.py" "$@"
