#!/usr/bin/env bash
# Kills, starves and cuts off the servers and clients of tests/server; both adapters at once, because they mostly wait.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
target=${CARGO_TARGET_DIR:-$here/../../target}
cargo build --quiet --locked --release --manifest-path "$here/../server/Cargo.toml" --target-dir "$target"
export BIN=$target/release
log=$(mktemp)
trap 'rm -f "$log"' EXIT
ADAPTER=smol python3 "$here/faults.py" >"$log" 2>&1 &
other=$!
status=0
ADAPTER=mio python3 "$here/faults.py" || status=$?
wait "$other" || status=$?
cat "$log"
exit "$status"
