#!/usr/bin/env bash
# Clients that others wrote, against the examples of both adapters.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=$("$here/../venv.sh")
[ -d "$here/node_modules/ws" ] || npm install --silent --prefix "$here"
for adapter in '' async_; do
    "$here/../with_server.sh" "${adapter}echo" node "$here/ws.mjs"
    "$here/../with_server.sh" "${adapter}echo" "$python" "$here/websockets_client.py"
    "$here/../with_server.sh" "${adapter}chat" "$here/curl.sh"
done
