#!/usr/bin/env bash
# Which lines of the engine its own tests and the fuzzer's seeds run, in per cent, file by file; fails under 95.
# `tests/coverage.sh --missing` lists the others.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")

# The compiler's own LLVM reads what its programs write: from rustup, or Debian's package of the same version.
tools=$(rustc --print target-libdir)/../bin
llvm=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
if [ ! -x "$tools/llvm-cov" ] && ! rustup component add llvm-tools; then
    tools=/usr/lib/llvm-$llvm/bin
    if [ ! -x "$tools/llvm-cov" ]; then
        as_root=()
        [ "$(id -u)" -eq 0 ] || as_root=(sudo)
        "${as_root[@]}" apt-get update -qq
        "${as_root[@]}" apt-get install -y -qq --no-install-recommends "llvm-$llvm" >/dev/null
    fi
fi

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}/coverage
export CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=0 RUSTFLAGS=-Cinstrument-coverage
profiles=$CARGO_TARGET_DIR/profiles
rm -rf "$profiles"
mkdir -p "$profiles"

# Builds tests, runs them, and leaves their programs' names in `programs`.
programs=()
run() { # ARGUMENTS OF CARGO TEST...
    local program
    # Build scripts and macros are instrumented too, and of no interest.
    LLVM_PROFILE_FILE=/dev/null cargo test --quiet --locked --no-run "$@"
    while read -r program; do
        programs+=("$program")
        LLVM_PROFILE_FILE=$profiles/%m-%p.profraw "$program" --quiet
    done < <(LLVM_PROFILE_FILE=/dev/null cargo test --quiet --locked --no-run --message-format=json "$@" |
        sed -n 's/.*"profile":{[^}]*"test":true.*"executable":"\([^"]*\)".*/\1/p')
}
cd "$root/ws-proto"
run -p ws-proto
cd "$root/fuzz"
run --test seeds

"$tools/llvm-profdata" merge --sparse "$profiles"/*.profraw -o "$profiles/all.profdata"
objects=()
for program in "${programs[@]}"; do
    objects+=(--object "$program")
done
"$tools/llvm-cov" export --format=lcov --instr-profile "$profiles/all.profdata" "${objects[@]}" |
    python3 "$here/coverage.py" "$root" "$@"
