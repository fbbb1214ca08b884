#!/usr/bin/env bash
# Clients that others wrote, against the examples of ws-server-mio.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=$("$here/../venv.sh")
[ -d "$here/node_modules/ws" ] || npm install --silent --prefix "$here"
"$here/../with_server.sh" echo node "$here/ws.mjs"
"$here/../with_server.sh" echo "$python" "$here/websockets_client.py"
"$here/../with_server.sh" chat "$here/curl.sh"
