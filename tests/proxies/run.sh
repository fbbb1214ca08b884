#!/usr/bin/env bash
# Both adapters' clients through other programs' proxies: HTTP CONNECT and SOCKS5, with TLS, with credentials.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$here/../..
CARGO_TARGET_DIR=$(realpath -m "${CARGO_TARGET_DIR:-$root/target}")
export CARGO_TARGET_DIR
python=$("$here/../venv.sh")

packages=()
for proxy in tinyproxy:tinyproxy squid:squid danted:dante-server microsocks:microsocks; do
    command -v "${proxy%:*}" >/dev/null || [ -x "/usr/sbin/${proxy%:*}" ] || packages+=("${proxy#*:}")
done
"$here/../install.sh" "${packages[@]}"

manifest=$here/../server/Cargo.toml
cargo clippy --quiet --locked --release --manifest-path "$manifest" --features tls --all-targets -- -D warnings
cargo build --quiet --locked --release --manifest-path "$manifest" --features tls
# As the step TLS compiles the libraries.
cargo build --quiet --locked --manifest-path "$root/Cargo.toml" -p ws-server-mio --features ws-server-mio/tls \
    --example client

CERTIFICATES=$(mktemp -d)
trap 'rm -rf "$CERTIFICATES"' EXIT
export CERTIFICATES BIN=$CARGO_TARGET_DIR/release EXAMPLES=$CARGO_TARGET_DIR/debug/examples
"$here/../tls/certificates.sh" "$CERTIFICATES"
"$python" "$here/proxies.py"
