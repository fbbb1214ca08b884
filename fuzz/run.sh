#!/usr/bin/env bash
# The targets: over their seeds and over random inputs on stable Rust, and then a short, repeatable run of the fuzzer
# itself. `fuzz/run.sh TARGET [ARGUMENTS OF LIBFUZZER…]` fuzzes one target until it is interrupted.
#
# Its crate links libFuzzer, and flags for the stable compiler instrument the code: this needs neither a nightly
# compiler nor `cargo fuzz`, only a C++ compiler.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
manifest=$here/Cargo.toml
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$here/../target}
host=$(rustc -vV | sed -n 's/^host: //p')

build() { # with the flags of `cargo fuzz --sanitizer none`; not for build scripts
    local flags="--cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module -Cllvm-args=-simplifycfg-branch-fold-threshold=0"
    for option in level=4 inline-8bit-counters pc-table trace-compares; do
        flags+=" -Cllvm-args=-sanitizer-coverage-$option"
    done
    RUSTFLAGS=$flags cargo build --quiet --locked --release --manifest-path "$manifest" --target "$host" --bins "$@"
}

fuzz() { # TARGET ARGUMENTS...: new inputs are written to the first folder given
    local target=$1
    shift
    "$CARGO_TARGET_DIR/$host/release/$target" -dict="$here/ws.dict" "$@" "$here/seeds/$target"
}

if [ $# -gt 0 ]; then
    target=$1
    shift
    build
    mkdir -p "$CARGO_TARGET_DIR/corpus/$target"
    fuzz "$target" -artifact_prefix="$CARGO_TARGET_DIR/corpus/$target-" "$@" "$CARGO_TARGET_DIR/corpus/$target"
    exit
fi

cargo fmt --check --manifest-path "$manifest"
cargo clippy --quiet --locked --manifest-path "$manifest" --all-targets -- -D warnings
cargo test --quiet --locked --manifest-path "$manifest"
build
new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT
mkdir "$new/corpus"
for program in "$here"/fuzz_targets/*.rs; do
    target=$(basename "$program" .rs)
    # A fixed number of identical runs: from a fixed seed, independent of the clock and of code addresses.
    mkdir "$new/corpus/$target"
    runs=30000
    [ "$target" != deflate ] || runs=4000 # each creates contexts, which takes a hundred times as long
    [ "$target" != tls ] || runs=8000     # each signs and verifies a handshake or two
    if ! fuzz "$target" -runs="$runs" -seed=6455 -reload=0 -use_cmp=0 -max_len=1200 -len_control=20 -timeout=120 \
        -artifact_prefix="$new/" "$new/corpus/$target" >"$new/log" 2>&1; then
        tail -n 50 "$new/log"
        echo "$target: the input is $(base64 --wrap=0 "$new"/{crash,timeout,oom}-* 2>/dev/null)"
        exit 1
    fi
    grep -E '^(#[0-9]+[[:space:]]DONE|Done )' "$new/log" | sed "s/^/$target: /"
done
