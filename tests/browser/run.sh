#!/usr/bin/env bash
# Headless Chromium against the examples of ws-server-mio.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ -d "$here/node_modules/playwright-core" ] || npm install --silent --prefix "$here"
"$here/../with_server.sh" echo node "$here/echo.mjs"
"$here/../with_server.sh" chat node "$here/chat.mjs"
