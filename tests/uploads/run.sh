#!/usr/bin/env bash
# Large files up and down through the examples `drop` and `async_drop`, by curl, raw sockets and Chromium.
#
# usage: run.sh [MIB]   the size of the largest file; 256 by default. 4096 takes a minute, and 8 GiB of disk for a while.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ -d "$here/../browser/node_modules/playwright-core" ] || npm install --silent --prefix "$here/../browser"
FOLDER=$(mktemp -d)
export FOLDER
trap 'rm -rf "$FOLDER"' EXIT
for adapter in '' async_; do
    "$here/../with_server.sh" "${adapter}drop $FOLDER" python3 "$here/uploads.py" "${1:-256}"
    rm -rf "${FOLDER:?}"/*
    "$here/../with_server.sh" "${adapter}drop $FOLDER" node "$here/../browser/drop.mjs"
    rm -rf "${FOLDER:?}"/*
done
