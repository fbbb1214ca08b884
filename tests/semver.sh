#!/usr/bin/env bash
# Checks by cargo-semver-checks whether the version matches the changes of the public API. It needs a release to compare
# with, so it is not a step of run.sh.
#
# usage: semver.sh            against the registry
#        semver.sh REVISION   against a revision of this repository: the tag of the last release
#
# `cargo install --locked cargo-semver-checks` builds it, with a newer Rust than the crates require.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec cargo semver-checks --workspace --exclude ws-kit --features deflate ${1:+--baseline-rev "$1"}
