#!/usr/bin/env bash
# Hostile peers against the test server of each adapter, over raw sockets; both at once, because they mostly wait.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ulimit -n 4096 2>/dev/null || true # for a thousand connections at once, here and in the server

adapter() { # ADAPTER
    # Once with default limits and short deadlines; once with other limits.
    OPTIONS='handshake=3000 keep_alive=3000 close=2000 output=3000' \
        "$here/../with_server.sh" "server_$1" python3 "$here/hostile.py" &&
        OPTIONS='handshake=2000 output=2000 close=2000 heartbeat=500/2000 frame_rate=off max_connections=100 max_handshakes=20' \
            "$here/../with_server.sh" "server_$1" python3 "$here/hostile.py"
}

"$here/../with_server.sh" server_mio true # builds it once
log=$(mktemp)
trap 'rm -f "$log"' EXIT
adapter smol >"$log" 2>&1 &
other=$!
echo 'ws-server-mio:'
status=0
adapter mio || status=$?
echo 'ws-server-smol:'
wait "$other" || status=$?
cat "$log"
exit "$status"
