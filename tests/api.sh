#!/usr/bin/env bash
# Compares the public API of each crate with its committed list: no change of it goes unnoticed.
#
# usage: api.sh           fails where they differ
#        api.sh --write   writes the lists
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
crates=(ws-proto ws-host ws-server-mio ws-server-smol)
tools=${CARGO_TARGET_DIR:-$PWD/target}/tools
source tests/check.sh

not_here() { # WHY
    echo "$1: the public API is not compared"
    [ -z "${NOT_RUN_HERE:-}" ] || echo "public API: $1" >>"$NOT_RUN_HERE"
    exit 0
}

# The lists come from rustdoc's JSON, which only nightly Rust writes.
cargo +nightly --version >/dev/null 2>&1 || not_here 'no nightly Rust'
version=0.52.0
export PATH=$tools/bin:$PATH
if [ "$(cargo public-api --version 2>/dev/null)" != "cargo-public-api $version" ]; then
    cargo install --quiet --locked --root "$tools" cargo-public-api --version "$version"
fi

now=$(mktemp -d)
trap 'rm -rf "$now"' EXIT
for crate in "${crates[@]}"; do
    # Omits what every type has, and derived impls.
    if ! cargo +nightly public-api --package "$crate" --all-features -sss --color never >"$now/api.txt" 2>"$now/log"; then
        cat "$now/log" >&2
        not_here "this nightly Rust writes no list of $crate" # its JSON is of another version
    elif [ "${1:-}" = --write ]; then
        cp "$now/api.txt" "$crate/api.txt"
    else
        check "$crate has the API of its list, which tests/api.sh --write renews" \
            "$(diff -u "$crate/api.txt" "$now/api.txt" 2>&1 || true)"
    fi
done
[ "${1:-}" != --write ] || exit 0
summary 'public API'
