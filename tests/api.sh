#!/usr/bin/env bash
# Compares the public API of each crate with its committed list, so every change is visible.
#
# usage: api.sh           fails if they differ
#        api.sh --write   writes the lists
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
crates=(ws-proto ws-host ws-server-mio ws-server-smol)
tools=${CARGO_TARGET_DIR:-$PWD/target}/tools
source tests/check.sh

skip() { # WHY
    echo "$1: the public API was not compared"
    [ -z "${NOT_RUN_HERE:-}" ] || echo "public API: $1" >>"$NOT_RUN_HERE"
    exit 0
}

# The lists come from rustdoc's JSON, which only nightly Rust writes.
cargo +nightly --version >/dev/null 2>&1 || skip 'no nightly Rust'
version=0.52.0
export PATH=$tools/bin:$PATH
if [ "$(cargo public-api --version 2>/dev/null)" != "cargo-public-api $version" ]; then
    cargo install --quiet --locked --root "$tools" cargo-public-api --version "$version"
fi

current=$(mktemp -d)
trap 'rm -rf "$current"' EXIT
for crate in "${crates[@]}"; do
    # Omits blanket, auto-trait and derived impls.
    features=deflate
    [ "$crate" = ws-proto ] || features+=,tls # one provider: the API has no more with the other
    if ! cargo +nightly public-api --package "$crate" --features "$features" -sss --color never >"$current/api.txt" 2>"$current/log"; then
        cat "$current/log" >&2
        skip "this nightly Rust writes no list of $crate" # its JSON is of another version
    elif [ "${1:-}" = --write ]; then
        cp "$current/api.txt" "$crate/api.txt"
    else
        check "$crate has the API of its list, which tests/api.sh --write renews" \
            "$(diff -u "$crate/api.txt" "$current/api.txt" 2>&1 || true)"
    fi
done
[ "${1:-}" != --write ] || exit 0
summary 'public API'
