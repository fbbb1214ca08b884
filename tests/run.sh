#!/usr/bin/env bash
# The test command: everything, in order, until something fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}
# Each of these asks some test for less, or for something else.
unset SEED SEEDS FIRST PROPTEST_CASES PROPTEST_RNG_SEED WS_URL
# Checks that this machine does not allow.
NOT_RUN_HERE=$(mktemp)
export NOT_RUN_HERE
trap 'rm -f "$NOT_RUN_HERE"' EXIT

step() { # NAME COMMAND...
    local name=$1 started=$SECONDS
    shift
    printf '\n== %s\n' "$name"
    if ! "$@"; then
        printf '== %s failed\n' "$name" >&2
        exit 1
    fi
    printf '== %s: %d s\n' "$name" $((SECONDS - started))
}

step 'tools' tests/setup.sh
step 'format' cargo fmt --all --check
step 'lints' cargo clippy --locked --workspace --all-targets -- -D warnings
step 'lints without features' cargo clippy --locked --workspace --no-default-features --lib -- -D warnings
step 'documentation' env RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps
step 'tests' cargo test --locked --workspace
step 'examples' cargo build --locked --release --workspace --examples
step 'by hand' cargo run --locked --release --example by_hand
step 'purity' tests/purity.sh
step 'fuzz' fuzz/run.sh
step 'conformance' tests/conformance/run.sh
step 'conformance, async' tests/with_server.sh async_echo tests/conformance/run.sh
step 'conformance of clients' tests/conformance/client.sh conformance_client
step 'conformance of clients, async' tests/conformance/client.sh async_conformance_client
for adapter in '' async_; do
    step "conformance with deflate, ${adapter}echo" \
        tests/with_server.sh "${adapter}echo deflate" tests/conformance/run.sh '*' --messages=30
    step "conformance with deflate, ${adapter}conformance_client" \
        tests/conformance/client.sh "${adapter}conformance_client" '12.*,13.*' --messages=30 -- deflate
done
step 'differential' tests/differential/run.sh
step 'interop' tests/interop/run.sh
step 'interop with deflate' tests/interop/deflate/run.sh
step 'both ways at once' tests/duplex/run.sh
step 'embedding' tests/embedding/run.sh
step 'HTTP' tests/http/run.sh
step 'hostile' tests/hostile/run.sh
step 'faults' tests/faults/run.sh
step 'browser' tests/browser/run.sh
step 'interop matrix' tests/matrix/run.sh --quick
step 'desktop' tests/desktop/run.sh
step 'benchmarks' tests/bench/run.sh
if [ -s "$NOT_RUN_HERE" ]; then
    printf '\nNOT RUN HERE:\n%s\n' "$(cat "$NOT_RUN_HERE")"
fi
printf '\nall passed in %d s, but for %d that could not run here\n' "$SECONDS" "$(wc -l <"$NOT_RUN_HERE")"
