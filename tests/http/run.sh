#!/usr/bin/env bash
# Raw HTTP requests, good and bad, against the chat example.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ -n "${HTTP_URL:-}" ] || exec "$here/../with_server.sh" chat "$here/run.sh"
exec python3 "$here/probes.py"
