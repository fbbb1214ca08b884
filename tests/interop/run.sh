#!/usr/bin/env bash
# Tests other clients with the examples of both adapters, and other servers with the example client of ws-server-mio.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=$("$here/../venv.sh")
[ -d "$here/node_modules/ws" ] || npm install --silent --prefix "$here"
for adapter in '' async_; do
    "$here/../with_server.sh" "${adapter}echo" node "$here/ws.mjs"
    "$here/../with_server.sh" "${adapter}echo" "$python" "$here/websockets_client.py"
    "$here/../with_server.sh" "${adapter}chat" "$here/curl.sh"
done

root=$here/../..
cargo build --quiet --release --manifest-path "$root/Cargo.toml" --workspace --example client
export CLIENT_BIN=${CARGO_TARGET_DIR:-$root/target}/release/examples/client
node "$here/ws_server.mjs"
"$python" "$here/websockets_server.py"
"$python" "$here/odd_servers.py"
