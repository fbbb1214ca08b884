#!/usr/bin/env bash
# Runs the Autobahn cases over TLS: the suite does not speak TLS, so stunnel runs between it and the example.
#
# usage: over_tls.sh server 'EXAMPLE [ARGUMENT...]' [CASES] [OPTION...]   an echo server that speaks wss://
#        over_tls.sh client 'EXAMPLE [ARGUMENT...]' [CASES] [OPTION...]   a client
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$here/../..
export FEATURES=ws-server-mio/tls,ws-server-smol/tls

stunnel() { # OPTION...: relays from $from to $to until the script ends
    printf '%s\n' 'foreground = yes' 'pid =' 'debug = err' '[relay]' "accept = 127.0.0.1:$from" "connect = 127.0.0.1:$to" \
        'TIMEOUTclose = 5' "$@" >"$folder/stunnel.conf"
    command stunnel "$folder/stunnel.conf" >"$folder/log" 2>&1 &
    trap 'kill $! 2>/dev/null || true; rm -rf "$folder"' EXIT
    for _ in $(seq 100); do
        ! (: >"/dev/tcp/127.0.0.1/$from") 2>/dev/null || return 0
        sleep 0.1
    done
    cat "$folder/log" >&2
    exit 1
}

folder=$(mktemp -d)
from=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
case $1 in
    server)
        if [ -z "${PORT:-}" ]; then
            rm -r "$folder"
            exec "$here/../with_server.sh" "$2 --tls" "$0" "$@"
        fi
        to=$PORT
        stunnel 'client = yes'
        "$here/run.sh" "ws://127.0.0.1:$from/" "${@:3}"
        ;;
    client)
        # The suite runs this script as its client.
        cargo build --quiet --release --manifest-path "$root/Cargo.toml" --workspace --example "${2%% *}" \
            --features "$FEATURES"
        python=$("$here/../venv.sh")
        export EXAMPLE=${CARGO_TARGET_DIR:-$root/target}/release/examples/$2
        rm -r "$folder"
        exec "$python" "$here/suite.py" "$0" "${@:3}"
        ;;
    ws://*)
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=conformance $RANDOM" \
            -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE \
            -keyout "$folder/key.pem" -out "$folder/ca.pem" 2>/dev/null
        to=${1##*:}
        stunnel "cert = $folder/ca.pem" "key = $folder/key.pem"
        read -r -a command <<<"$EXAMPLE"
        "${command[0]}" "wss://127.0.0.1:$from" "--ca=$folder/ca.pem" "${command[@]:1}"
        ;;
esac
