#!/usr/bin/env bash
# Clients that others wrote, against the examples of ws-server-mio; and servers that others wrote, against its example
# client.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=$("$here/../venv.sh")
[ -d "$here/node_modules/ws" ] || npm install --silent --prefix "$here"
"$here/../with_server.sh" echo node "$here/ws.mjs"
"$here/../with_server.sh" echo "$python" "$here/websockets_client.py"
"$here/../with_server.sh" chat "$here/curl.sh"

root=$here/../..
cargo build --quiet --release --manifest-path "$root/Cargo.toml" --workspace --example client
export CLIENT_BIN=${CARGO_TARGET_DIR:-$root/target}/release/examples/client
node "$here/ws_server.mjs"
"$python" "$here/websockets_server.py"
"$python" "$here/odd_servers.py"
