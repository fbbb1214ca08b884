#!/usr/bin/env bash
# The Autobahn cases against an echo server.
#
# usage: run.sh [URL] [CASES] [--write]
#   Without a URL the echo example of ws-server-mio is built, started, tested and stopped.
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
