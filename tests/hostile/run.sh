#!/usr/bin/env bash
# Bad peers against the echo example, over raw sockets.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ -z "${SERVER_PID:-}" ]; then
    ulimit -n 4096 2>/dev/null || true # for a thousand connections at once, here and in the server
    exec "$here/../with_server.sh" echo "$here/run.sh"
fi
exec python3 "$here/hostile.py"
