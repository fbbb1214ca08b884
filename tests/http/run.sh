#!/usr/bin/env bash
# Raw HTTP requests, good and bad, against the chat example; pages, files, JSON and events of the http example.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
tests/with_server.sh chat python3 tests/http/probes.py
tests/with_server.sh http python3 tests/http/pages.py
