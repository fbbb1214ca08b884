#!/usr/bin/env bash
# Runs cargo-mutants over a sample of the engine: how many small faults its own tests catch. Fails below 95 %.
#
# usage: mutants.sh [--seed N] [--scale X] [--area NAME]... [--again] [--only TEXT] [--list]
#   --seed N     draws another sample
#   --scale X    draws X times as many mutants of each area
#   --area NAME  runs one area only
#   --again      repeats the mutants that the last run of the same seed missed, after tests were added
#   --only TEXT  runs every mutant of the engine whose entry contains the text, in place of a sample
#   --list       prints the sample without running it
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
work=${CARGO_TARGET_DIR:-$root/target}/mutants
unset CARGO_TARGET_DIR

version=27.1.0
if ! cargo mutants --version 2>/dev/null | grep -q " $version\$"; then
    PATH=$work/tools/bin:$PATH
    [ -x "$work/tools/bin/cargo-mutants" ] ||
        cargo install --quiet --locked --root "$work/tools" cargo-mutants --version "$version"
fi
# A mutant may allocate without bound; this machine has other work.
ulimit -v 8000000
exec python3 "$here/mutants.py" "$root" "$work" "$@"
