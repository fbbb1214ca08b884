#!/usr/bin/env bash
# The interop matrix: our servers and clients with other clients and servers. Rewrites table.md.
#
# usage: run.sh [--quick]
#   --quick tests what the other tests need anyway, and fails if it is worse than table.md. It installs nothing else;
#   without it, the script installs missing peers, and the row of an unavailable peer says so.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CARGO_TARGET_DIR=$(realpath -m "${CARGO_TARGET_DIR:-$here/../../target}")
export CARGO_TARGET_DIR
python=$("$here/../venv.sh")
for folder in "$here" "$here/../browser"; do
    [ -d "$folder/node_modules" ] || npm install --silent --no-package-lock --prefix "$folder"
done

manifest=$here/ours/Cargo.toml
cargo fmt --check --manifest-path "$manifest"
cargo clippy --quiet --locked --manifest-path "$manifest" --all-targets -- -D warnings
cargo build --quiet --locked --manifest-path "$manifest"

if [ "${1:-}" != --quick ]; then
    peers=$here/peers/rust/Cargo.toml
    packages=()
    [ -x "${FIREFOX:-/usr/bin/firefox-esr}" ] || packages+=(firefox-esr)
    for proxy in nginx haproxy; do
        [ -x "/usr/sbin/$proxy" ] || packages+=("$proxy")
    done
    [ -e /usr/include/libwebsockets.h ] || packages+=(libwebsockets-dev)
    "$here/../install.sh" "${packages[@]}"
    "$python" -m pip install --quiet --disable-pip-version-check pycurl==7.49.0 || true
    cargo fmt --check --manifest-path "$peers"
    cargo clippy --quiet --locked --manifest-path "$peers" --all-targets -- -D warnings
    # Skips peers that cannot be built.
    rm -f "$CARGO_TARGET_DIR"/debug/matrix-{peers,lws}
    cargo build --quiet --locked --manifest-path "$peers" || true
    cc -Wall -Wextra -Wno-unused-parameter -O1 -o "$CARGO_TARGET_DIR/debug/matrix-lws" "$here/peers/lws.c" -lwebsockets || true
fi
"$python" "$here/matrix.py" "$@"
