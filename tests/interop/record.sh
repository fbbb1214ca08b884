#!/usr/bin/env bash
# Records connections of other clients and servers in ws-proto/tests/traces, for `cargo test -p ws-proto --test
# replay`: all, or the named ones (curl, ws, websockets, chromium).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$here/../..
traces=$root/ws-proto/tests/traces
[ $# -gt 0 ] || set -- curl ws websockets chromium
python=$("$here/../venv.sh")
[ -d "$here/node_modules/ws" ] || npm install --silent --prefix "$here"
[ -d "$here/../browser/node_modules/playwright-core" ] || npm install --silent --prefix "$here/../browser"

with_recorder() { # STEM COMMAND...: the command is a client of the recorder
    local stem=$1
    shift
    rm -f "$traces/$stem"-*.trace
    TRACE=$traces/$stem "$here/../with_server.sh" record "$@"
}

# shellcheck disable=SC2016 # expanded by the inner shell
curl_calls='
    curl --silent --http1.1 "$HTTP_URL/" "$HTTP_URL/stream" "$HTTP_URL/none" >/dev/null
    curl --silent --http1.1 --header "Expect: 100-continue" --data-binary "twice" "$HTTP_URL/echo" "$HTTP_URL/echo" >/dev/null
    curl --silent --http1.1 --header "Transfer-Encoding: chunked" --data-binary "in chunks" "$HTTP_URL/echo" >/dev/null
    curl --silent --http1.0 --head "$HTTP_URL/stream" >/dev/null
    curl --silent --no-buffer --max-time 1 --http1.1 --header "Connection: Upgrade" --header "Upgrade: websocket" \
        --header "Sec-WebSocket-Version: 13" --header "Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==" "$HTTP_URL/" \
        --output /dev/null || true
    sleep 1'

for peer in "$@"; do
    case $peer in
        curl) with_recorder curl-client bash -c "$curl_calls" ;;
        ws) with_recorder ws-client node "$here/record_ws.mjs" ;;
        websockets) with_recorder websockets-client "$python" "$here/record_websockets.py" ;;
        chromium) with_recorder chromium-client node "$here/../browser/record.mjs" ;;
        *) echo "unknown peer $peer" >&2 && exit 1 ;;
    esac
done

cargo build --quiet --release --manifest-path "$root/Cargo.toml" -p ws-proto --example record
RECORDER=${CARGO_TARGET_DIR:-$root/target}/release/examples/record
export RECORDER
for peer in "$@"; do
    case $peer in
        ws) TRACE=$traces/ws-server node "$here/record_ws.mjs" server ;;
        websockets) TRACE=$traces/websockets-server "$python" "$here/record_websockets.py" server ;;
    esac
done
cargo test --quiet --manifest-path "$root/Cargo.toml" -p ws-proto --test replay
