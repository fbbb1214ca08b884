#!/usr/bin/env bash
# Runs a command beside an example server, and exits with the command's status.
#
# usage: with_server.sh 'EXAMPLE [ARGUMENT...]' COMMAND...
#   The example, of either adapter, is built in release and started on a port that the system chooses, with its
#   arguments after that; it may be a separate package, or server_mio or server_smol of tests/server, which OPTIONS
#   sets. The command finds in its environment HTTP_URL (http://127.0.0.1:PORT), WS_URL (ws://127.0.0.1:PORT), PORT,
#   SERVER_PID and SERVER_BIN (to restart it: "$SERVER_BIN" "$PORT"). An example is built with the FEATURES of the
#   environment, such as ws-server-mio/tls.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
read -r -a arguments <<<"$1"
example=${arguments[0]}
shift
target=${CARGO_TARGET_DIR:-$root/target}
package=$root/ws-server-mio/examples/$example/Cargo.toml
[[ $example != server_* ]] || package=$root/tests/server/Cargo.toml
if [ -f "$package" ]; then
    cargo build --quiet --release --manifest-path "$package" --target-dir "$target"
    SERVER_BIN=$target/release/$example
else
    cargo build --quiet --release --manifest-path "$root/Cargo.toml" --workspace --example "$example" \
        --features "${FEATURES:-}"
    SERVER_BIN=$target/release/examples/$example
fi

log=$(mktemp)
"$SERVER_BIN" 0 "${arguments[@]:1}" >"$log" 2>&1 &
SERVER_PID=$!
trap 'kill "$SERVER_PID" 2>/dev/null || true; rm -f "$log"' EXIT

# The server prints its address once it listens.
PORT=
for _ in $(seq 100); do
    PORT=$(sed -nE 's|.*//[^/ ]*:([0-9]+).*|\1|p' "$log" | head -n 1)
    [ -n "$PORT" ] && break
    kill -0 "$SERVER_PID" 2>/dev/null || break
    sleep 0.1
done
if [ -z "$PORT" ]; then
    echo "$example printed no address:" >&2
    cat "$log" >&2
    exit 1
fi

export PORT SERVER_PID SERVER_BIN HTTP_URL=http://127.0.0.1:$PORT WS_URL=ws://127.0.0.1:$PORT
status=0
"$@" || status=$?
if ! kill -0 "$SERVER_PID" 2>/dev/null; then
    ended=0
    wait "$SERVER_PID" || ended=$?
    echo "$example exited with status $ended during the test" >&2
    status=1
fi
if [ "$status" -ne 0 ]; then
    echo "the last output of $example:" >&2
    tail -n 20 "$log" >&2
fi
exit "$status"
