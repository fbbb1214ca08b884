#!/usr/bin/env bash
# The line coverage of the engine and of the host by their own tests and the fuzzer's seeds, file by file; fails if
# either is below 95 %.
# `tests/coverage.sh --missing` lists the lines that did not run.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")

# LLVM's tools must match the compiler: from rustup, or Debian's package of the same version.
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

# Builds tests, runs each program, and reports which lines ran. Each has its own profile: programs compile the same
# functions differently.
programs() { # ARGUMENTS OF CARGO TEST...
    # Build scripts and macros are instrumented too, but irrelevant.
    LLVM_PROFILE_FILE=/dev/null cargo test --quiet --locked --no-run --message-format=json "$@" |
        sed -n 's/.*"profile":{[^}]*"test":true.*"executable":"\([^"]*\)".*/\1/p'
}
run() { # FOLDER ARGUMENTS OF CARGO TEST...
    local folder=$1 program profile
    shift
    cd "$folder"
    programs "$@" >"$profiles/programs"
    while read -r program; do
        profile=$profiles/$(basename "$program")
        LLVM_PROFILE_FILE=$profile.profraw "$program" --quiet >&2
        "$tools/llvm-profdata" merge --sparse "$profile.profraw" -o "$profile.profdata"
        "$tools/llvm-cov" export --format=lcov --ignore-filename-regex='/(registry|rustc)/' \
            --instr-profile "$profile.profdata" "$program"
    done <"$profiles/programs"
}
{
    run "$root/ws-proto" -p ws-proto
    run "$root/ws-host" -p ws-host
    run "$root/fuzz" --test seeds
} >"$profiles/lines"
python3 "$here/coverage.py" "$root" "$@" <"$profiles/lines"
