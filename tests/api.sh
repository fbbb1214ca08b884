#!/usr/bin/env bash
# Compares the public API of each crate with its committed list: no change of it goes unnoticed.
#
# usage: api.sh           fails where they differ
#        api.sh --write   writes the lists
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
crates=(ws-proto ws-host ws-server-mio ws-server-smol)
tools=${CARGO_TARGET_DIR:-$PWD/target}/tools
passed=0 failed=0

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
    elif diff -u "$crate/api.txt" "$now/api.txt"; then
        passed=$((passed + 1))
        echo "ok    $crate has the API of its list"
    else
        failed=$((failed + 1))
        echo "FAIL  $crate: is the change meant? Then: tests/api.sh --write"
    fi
done
[ "${1:-}" != --write ] || exit 0
printf 'public API:\n%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
