#!/usr/bin/env bash
# Tests the chat example at $HTTP_URL with curl: the page and the socket on one port.
set -euo pipefail
passed=0 failed=0
socket_path=/ws

check() { # NAME GOT WANTED
    if [ "$2" = "$3" ]; then
        passed=$((passed + 1))
        echo "ok    $1"
    else
        failed=$((failed + 1))
        echo "FAIL  $1: got '$2', wanted '$3'"
    fi
}

request() { # FORMAT CURL-ARGUMENTS...: curl's report on its transfer
    curl --silent --show-error --http1.1 --max-time 30 --output /dev/null --write-out "$@" || true
}

upgrade() { # VERSION CURL-ARGUMENTS...: the status line of the answer to an upgrade; the connection is dropped at once
    local status version=$1
    shift
    read -r status < <(
        exec curl --silent --dump-header - --output /dev/null --http1.1 --max-time 30 --header 'Connection: Upgrade' \
            --header 'Upgrade: websocket' --header "Sec-WebSocket-Version: $version" \
            --header 'Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==' "$@" 2>/dev/null
    )
    kill $! 2>/dev/null || true
    printf '%s' "${status%$'\r'}"
}

check 'GET of the page' "$(request '%{http_code} %{content_type}' "$HTTP_URL/")" '200 text/html; charset=utf-8'
check 'GET of a missing page' "$(request '%{http_code}' "$HTTP_URL/no-such-thing")" 404
size=$(request '%{size_download}' "$HTTP_URL/")
check 'the page is not empty' "$([ "$size" -gt 0 ] && echo yes)" yes
check 'HEAD has the size and no body' \
    "$(request '%{http_code} %header{content-length} %{size_download}' --head "$HTTP_URL/")" "200 $size 0"
check 'two requests, one connection' \
    "$(request '%{http_code} %{num_connects};' "$HTTP_URL/" --output /dev/null "$HTTP_URL/")" '200 1;200 0;'
check 'Connection: close is honoured' \
    "$(request '%{num_connects};' --header 'Connection: close' "$HTTP_URL/" --output /dev/null "$HTTP_URL/")" '1;1;'
check 'POST from another origin' "$(request '%{http_code}' --data x --header 'Origin: http://evil.test' "$HTTP_URL/")" 403
check 'POST to a page' "$(request '%{http_code}' --data x "$HTTP_URL/")" 405
check 'a foreign Host' "$(request '%{http_code}' --header 'Host: evil.test' "$HTTP_URL/")" 421
check 'HTTP/1.0' "$(request '%{http_code} %{num_connects};' --http1.0 "$HTTP_URL/" --output /dev/null "$HTTP_URL/")" \
    '200 1;200 1;'
check 'GET of the socket without an upgrade' "$(request '%{http_code}' "$HTTP_URL$socket_path")" 426
check 'upgrade' "$(upgrade 13 "$HTTP_URL$socket_path")" 'HTTP/1.1 101 Switching Protocols'
check 'upgrade from the same origin' "$(upgrade 13 --header "Origin: $HTTP_URL" "$HTTP_URL$socket_path")" \
    'HTTP/1.1 101 Switching Protocols'
check 'upgrade from another origin' \
    "$(upgrade 13 --header 'Origin: http://evil.test' "$HTTP_URL$socket_path" | cut -d ' ' -f 2)" 403
check 'upgrade in an unknown version' \
    "$(upgrade 12 "$HTTP_URL$socket_path" | cut -d ' ' -f 2)" 426

printf 'curl:\n%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
