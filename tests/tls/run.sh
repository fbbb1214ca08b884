#!/usr/bin/env bash
# Other programs' TLS with ours: servers, clients, proxies, a browser.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$here/../..
CARGO_TARGET_DIR=$(realpath -m "${CARGO_TARGET_DIR:-$root/target}")
export CARGO_TARGET_DIR
python=$("$here/../venv.sh")
for folder in interop browser; do
    [ -d "$here/../$folder/node_modules" ] || npm install --silent --prefix "$here/../$folder"
done

packages=()
for proxy in haproxy nginx; do
    [ -x "/usr/sbin/$proxy" ] || packages+=("$proxy")
done
[ -e /usr/lib/nginx/modules/ngx_stream_module.so ] || packages+=(libnginx-mod-stream)
command -v certutil >/dev/null || packages+=(libnss3-tools)
"$here/../install.sh" "${packages[@]}"

manifest=$here/../server/Cargo.toml
options=(--quiet --locked --release --manifest-path "$manifest" --workspace --features test-server/tls)
cargo fmt --check --manifest-path "$here/peer/Cargo.toml"
cargo clippy "${options[@]}" --all-targets -- -D warnings
cargo build "${options[@]}"
# As the step TLS compiles the libraries.
cargo build --quiet --locked --manifest-path "$root/Cargo.toml" -p ws-host -p ws-server-mio -p ws-server-smol \
    --features ws-host/tls-self-signed,ws-server-mio/tls-self-signed,ws-server-smol/tls-self-signed \
    --example chat --example async_chat --example client \
    --example conformance_client --example async_conformance_client

CERTIFICATES=$(mktemp -d)
trap 'rm -rf "$CERTIFICATES"' EXIT
export CERTIFICATES BIN=$CARGO_TARGET_DIR/release EXAMPLES=$CARGO_TARGET_DIR/debug/examples
export CLIENT_BIN=$EXAMPLES/client
"$here/certificates.sh" "$CERTIFICATES"
ADAPTER=mio "$python" "$here/servers.py"
ADAPTER=smol "$python" "$here/servers.py"
for part in clients proxies trusted browser local_ca; do
    "$python" "$here/$part.py"
done
