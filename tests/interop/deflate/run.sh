#!/usr/bin/env bash
# Tests permessage-deflate with other libraries, and in a room.
#
# usage: run.sh [all]
#   By default, some terms and 500 messages each, in less than a minute; with `all`, more terms and 10,000 messages
#   each.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$here/../../..
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}
# A separate package, with its own lock file.
cargo fmt --check --manifest-path "$here/Cargo.toml"
cargo clippy --quiet --locked --manifest-path "$here/Cargo.toml" --all-targets -- -D warnings
cargo build --quiet --locked --release --manifest-path "$here/Cargo.toml"
cargo build --quiet --locked --release --manifest-path "$root/Cargo.toml" --workspace --example echo --example async_echo
python=$("$here/../../venv.sh")
[ -d "$here/../node_modules/ws" ] || npm install --silent --prefix "$here/.."
[ -d "$here/../../browser/node_modules/playwright-core" ] || npm install --silent --prefix "$here/../../browser"
export BUILT=$CARGO_TARGET_DIR/release
case ${1:-} in
all)
    "$python" "$here/matrix.py" --all --messages=10000
    "$python" "$here/room.py" --messages=10000
    ;;
'')
    "$python" "$here/matrix.py"
    "$python" "$here/room.py"
    ;;
*)
    echo "unknown argument $1" >&2
    exit 2
    ;;
esac
