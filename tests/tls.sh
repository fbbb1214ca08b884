#!/usr/bin/env bash
# The tests of TLS in `ws-host` and both adapters, their fakes over TLS, and the rows of the README's table over TLS.
#
# usage: tls.sh [all]   with all, every test of these crates runs with the feature `tls`
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
with=(--locked -p ws-host -p ws-server-mio -p ws-server-smol
    --features ws-host/tls-self-signed,ws-server-mio/tls-self-signed,ws-server-smol/tls-self-signed)
if [ "${1:-}" = all ]; then
    # Except `fake_kernel` and `fake_stream`, whose runs without TLS take a third of the time.
    cargo test "${with[@]}" --lib --examples --test '[!f]*' --test 'f[!a]*' --test 'fa[!k]*'
    cargo test "${with[@]}" --doc
else
    cargo test "${with[@]}" --lib --test tls --test tls_memory --test bad_certificates
fi
cargo test --locked -p ws-server-mio --features tls-self-signed --test fake_kernel -- tls:: ends::
cargo test --locked -p ws-server-smol --features tls-self-signed --test fake_stream -- tls:: ends::
OVER_TLS=1 cargo test --locked -p ws-server-smol --features tls-self-signed --test behaviours
