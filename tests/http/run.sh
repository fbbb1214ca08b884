#!/usr/bin/env bash
# Valid and invalid raw HTTP requests, and pages of other origins, against the test server of each adapter; and the http example.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
tests/server/check.sh
for adapter in mio smol; do
    tests/with_server.sh "server_$adapter" python3 tests/http/probes.py
    OPTIONS='cors=http://dev.test:5173 token=fixed answer=200' \
        tests/with_server.sh "server_$adapter" python3 tests/http/cors.py
done
tests/with_server.sh http python3 tests/http/pages.py
