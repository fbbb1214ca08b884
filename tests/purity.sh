#!/usr/bin/env bash
# Checks what the crates promise about their sources.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tests/check.sh

code() { # PATTERN DIRECTORY...: prints matching lines of Rust outside comments and tests
    local pattern=$1
    shift
    find "$@" -name '*.rs' ! -name 'tests_*.rs' -exec \
        awk '/^mod tests \{/ { nextfile } !/^[[:space:]]*\/\// { print FILENAME ":" FNR ":" $0 }' {} + |
        grep -E "^[^:]*:[0-9]+:.*($pattern)" || true
}

check 'the engine has no sockets, threads, files or environment' \
    "$(code 'std::(net|thread|fs|process|env)\b' ws-proto/src)"
check 'the engine reads no clock' "$(code '(Instant|SystemTime)::now' ws-proto/src)"
check 'the engine uses no randomness' "$(code 'getrandom|thread_rng|RandomState|OsRng' ws-proto/src)"
check 'only the state machine changes the stage of a connection' \
    "$(code '\.stage = |\(&mut [a-z]+\.stage\b' ws-proto/src/connection | grep -v '^[^:]*/stage\.rs:' || true)"
check 'the host has no threads or processes' "$(code 'std::(thread|process)\b' ws-host/src)"
check 'the host reads the environment only for Proxy::from_env' \
    "$(code 'std::env\b' ws-host/src | grep -v '^ws-host/src/proxy/env\.rs:' || true)"
check 'the host never waits for a peer' \
    "$(code '\b(sleep|park|block_on)\(|\.(recv|wait|join|accept|to_socket_addrs)\(\)|Condvar|Stream::connect' ws-host/src)"
check 'the host reads clocks in one file only: for the origin that a process shares, the validity of certificates, and the age of files' \
    "$(code '(Instant|SystemTime)::now' ws-host/src | grep -v '^ws-host/src/clock\.rs:' || true)"
check 'the host uses no randomness' "$(code 'getrandom|thread_rng|OsRng' ws-host/src)"
check 'no mutable statics' "$(code 'static mut\b' ./*/src)"
check 'no unsafe' "$(code '\bunsafe\b' ./*/src)"

tree=$(cargo tree --locked -p ws-proto -e normal --prefix none)
check 'the engine depends on no runtime and on no system' \
    "$(printf '%s\n' "$tree" |
        grep -E '^(mio|tokio|smol|async-io|polling|socket2|rustix|getrandom) ' || true)"

tree=$(cargo tree --locked -p ws-host -e normal --prefix none)
check 'the host depends on no runtime' \
    "$(printf '%s\n' "$tree" | grep -E '^(mio|tokio|smol|async-io|polling|blocking|getrandom) ' || true)"

check 'without the feature tls there is no TLS' \
    "$(cargo tree --locked -p ws-server-mio -p ws-server-smol -e normal --prefix none |
        grep -E '^(rustls|ring|aws-lc-rs|sha2|rcgen|etcetera|gethostname)[ -]' || true)"

check 'unsafe code is forbidden in the workspace' "$(grep -qE '^unsafe_code = "forbid"' Cargo.toml || echo Cargo.toml)"
check 'every crate takes the lints of the workspace' \
    "$(for manifest in ./*/Cargo.toml tests/kit/Cargo.toml; do grep -A 1 '^\[lints\]' "$manifest" | grep -q '^workspace = true' || echo "$manifest"; done)"

package() { # FILE: the folder of the package that it belongs to
    local folder
    folder=$(dirname "$1")
    until [ -e "$folder/Cargo.toml" ] || [ "$folder" = . ]; do folder=$(dirname "$folder"); done
    echo "$folder"
}

# The package that compiles docs/ is not published.
check 'no package compiles files outside of it' "$(
    git grep -noE '(#\[path = |include(_str|_bytes)?!\((concat!\()?)"[^"]+' -- '*.rs' ':!tests/guides/src/lib.rs' | while IFS=: read -r file line found; do
        target=$(realpath -m --relative-to=. "$(dirname "$file")/${found#*\"}")
        [ "$(package "$file")" = "$(package "$target")" ] || echo "$file:$line: $target"
    done
)"
check 'the package of the guides is not published' \
    "$(grep -qxF 'publish = false' tests/guides/Cargo.toml || echo tests/guides/Cargo.toml)"
check 'no file is a symbolic link' "$(git ls-files -s | grep '^120000' || true)"

check 'no unfinished work in the tree' "$(git grep -nwE 'TOD[O]|FIXM[E]|XX[X]|todo[!]|unimplemented[!]' || true)"
check "no path of a local machine" "$(git grep -nE '(^|[^a-zA-Z0-9._/-])/(hom[e]|roo[t]|wor[k]|User[s])/' || true)"

# A longer file must be divided, or long_files.txt says why not.
check 'no Rust file is too long' "$(
    find ./*/src tests/kit/src -name '*.rs' | while read -r file; do
        lines=$(wc -l <"$file")
        listed=$(grep -c "^${file#./}:" tests/long_files.txt || true)
        [ "$lines" -le 450 ] || [ "$listed" -eq 1 ] || echo "$file: $lines lines"
        [ "$lines" -gt 450 ] || [ "$listed" -eq 0 ] || echo "$file: $lines lines, need not be listed"
    done
)"

summary purity
