#!/usr/bin/env bash
# Runs the Autobahn cases against an echo server.
#
# usage: run.sh [URL] [CASES] [--write]
#   Without a URL, the script builds, starts, tests and stops the echo example of ws-server-mio.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
case ${1:-} in
ws://*)
    url=$1
    shift
    ;;
*)
    [ -n "${WS_URL:-}" ] || exec "$here/../with_server.sh" echo "$here/run.sh" "$@"
    url=$WS_URL/
    ;;
esac
python=$("$here/../venv.sh")
"$python" "$here/test_tap.py" --quiet
exec "$python" "$here/suite.py" "$url" "$@"
