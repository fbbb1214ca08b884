#!/usr/bin/env bash
# Whether the version matches the changes of the public API, by cargo-semver-checks. For releases: it needs one to
# compare with, and therefore is no step of run.sh.
#
# usage: semver.sh            against what the registry has
#        semver.sh REVISION   against a revision of this repository: the tag of the last release
#
# `cargo install --locked cargo-semver-checks` builds it, with a newer Rust than the crates require.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec cargo semver-checks --workspace --exclude ws-kit --all-features ${1:+--baseline-rev "$1"}
