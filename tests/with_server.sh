#!/usr/bin/env bash
# Runs a command beside an example server, and ends with the command's status.
#
# usage: with_server.sh EXAMPLE COMMAND...
#   The example of ws-server-mio is built in release and started on a free port. The command
#   finds in its environment HTTP_URL (http://127.0.0.1:PORT), WS_URL (ws://127.0.0.1:PORT), PORT, SERVER_PID and
#   SERVER_BIN (to start it again: "$SERVER_BIN" "$PORT").
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
example=$1
shift
cargo build --quiet --release --manifest-path "$root/Cargo.toml" -p ws-server-mio --example "$example"
SERVER_BIN=${CARGO_TARGET_DIR:-$root/target}/release/examples/$example

log=$(mktemp)
PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$SERVER_BIN" "$PORT" >"$log" 2>&1 &
SERVER_PID=$!
trap 'kill "$SERVER_PID" 2>/dev/null || true; rm -f "$log"' EXIT

# Ready as soon as it takes a connection.
until (: <"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; do
    if ! kill -0 "$SERVER_PID" 2>/dev/null; then
        echo "$example did not start:" >&2
        cat "$log" >&2
        exit 1
    fi
    sleep 0.05
done

export PORT SERVER_PID SERVER_BIN HTTP_URL=http://127.0.0.1:$PORT WS_URL=ws://127.0.0.1:$PORT
status=0
"$@" || status=$?
if ! kill -0 "$SERVER_PID" 2>/dev/null; then
    echo "$example ended while it was tested:" >&2
    cat "$log" >&2
    status=1
fi
exit "$status"
