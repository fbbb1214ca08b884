#!/usr/bin/env bash
# Headless Chromium against the examples of both adapters.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ -d "$here/node_modules/playwright-core" ] || npm install --silent --prefix "$here"
for adapter in '' async_; do
    "$here/../with_server.sh" "${adapter}echo" node "$here/echo.mjs"
    "$here/../with_server.sh" "${adapter}chat" node "$here/chat.mjs"
done
"$here/../with_server.sh" bridge node "$here/bridge.mjs"
