#!/usr/bin/env bash
# Whether the version says what has changed of the public API, by cargo-semver-checks. For releases: there must be one
# to compare with, so this is no step of run.sh.
#
# usage: semver.sh            against what the registry has
#        semver.sh REVISION   against a revision of this repository: the tag of the last release
#
# `cargo install --locked cargo-semver-checks` builds it, with a Rust newer than the crates ask for.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec cargo semver-checks --workspace --exclude ws-kit --all-features ${1:+--baseline-rev "$1"}
