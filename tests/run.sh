#!/usr/bin/env bash
# The test command: runs steps in order, until one fails.
#
# usage: run.sh [full]   all steps except those that only run by name
#        run.sh fast     steps that need only Rust: format, lints, documentation, tests
#        run.sh STEP…    the named steps
#        run.sh list     prints the names
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}
# Whole-program optimization takes minutes and proves nothing more.
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
# Each of these shrinks or changes some test.
unset SEED SEEDS FIRST PROPTEST_CASES PROPTEST_RNG_SEED WS_URL OVER_TLS
# Lists checks that this machine does not allow.
NOT_RUN_HERE=$(mktemp)
export NOT_RUN_HERE
trap 'rm -f "$NOT_RUN_HERE"' EXIT

wanted=("${@:-full}")
ran=()

is_wanted() { # fast|full|named NAME
    case ${wanted[0]} in
        full) [ "$1" != named ] ;;
        fast) [ "$1" = fast ] ;;
        *) printf '%s\n' "${wanted[@]}" | grep -Fxq -- "$2" ;;
    esac
}

step() { # fast|full|named NAME 'TOOL…' COMMAND...
    local speed=$1 name=$2 tools=$3 started=$SECONDS
    shift 3
    if [ "${wanted[0]}" = list ]; then
        printf '%s\t%s\n' "$speed" "$name"
        return
    fi
    is_wanted "$speed" "$name" || return 0
    ran+=("$name")
    printf '\n== %s\n' "$name"
    # shellcheck disable=SC2086 # a list of words
    if ! { tests/setup.sh $tools && "$@"; }; then
        printf '== %s failed\n' "$name" >&2
        exit 1
    fi
    printf '== %s: %d s\n' "$name" $((SECONDS - started))
}

step fast 'format' rustfmt cargo fmt --all --check
step fast 'lints' clippy cargo clippy --locked --workspace --all-targets -- -D warnings
step fast 'lints without features' clippy cargo clippy --locked --workspace --no-default-features --lib -- -D warnings
step fast 'documentation' '' env RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps
step fast 'tests' '' cargo test --locked --workspace
step full 'TLS' 'c++' tests/tls.sh
step full 'TLS peers' 'rustfmt clippy c++ python node curl openssl chromium' tests/tls/run.sh
step full 'proxies' 'clippy c++ python openssl' tests/proxies/run.sh
step full 'examples' '' cargo build --locked --release --workspace --examples
step full 'by hand' '' cargo run --locked --release --example by_hand
step full 'optimized' '' cargo test --locked --release -p ws-server-smol --test sends
step fast 'purity' '' tests/purity.sh
step full 'fuzz' 'rustfmt clippy c++' fuzz/run.sh
step full 'conformance' python tests/conformance/run.sh
step full 'conformance, async' python tests/with_server.sh async_echo tests/conformance/run.sh
step full 'conformance of clients' python tests/conformance/client.sh conformance_client
step full 'conformance of clients, async' python tests/conformance/client.sh async_conformance_client
for adapter in '' async_; do
    step full "conformance with deflate, ${adapter}echo" python \
        tests/with_server.sh "${adapter}echo deflate" tests/conformance/run.sh '*' --messages=30
    step full "conformance with deflate, ${adapter}conformance_client" python \
        tests/conformance/client.sh "${adapter}conformance_client" '12.*,13.*' --messages=30 -- deflate
done
step full 'differential' 'rustfmt clippy python' tests/differential/run.sh
step full 'interop' 'python node curl' tests/interop/run.sh
step full 'interop with deflate' 'rustfmt clippy python node chromium' tests/interop/deflate/run.sh
step full 'both ways at once' 'rustfmt clippy python node' tests/duplex/run.sh
step full 'guides' 'rustfmt clippy node' tests/guides/run.sh
step full 'embedding' 'rustfmt clippy python glib' tests/embedding/run.sh
step full 'HTTP' python tests/http/run.sh
step full 'uploads' 'python node curl chromium' tests/uploads/run.sh
step full 'hostile' python tests/hostile/run.sh
step full 'faults' 'python ip' tests/faults/run.sh
step full 'browser' 'python node chromium' tests/browser/run.sh
step full 'interop matrix' 'rustfmt clippy python node curl chromium' tests/matrix/run.sh --quick
step full 'desktop' 'rustfmt clippy chromium window' tests/desktop/run.sh
step full 'benchmarks' 'rustfmt clippy c++' tests/bench/run.sh
# Steps that only matter before a release.
step named 'public API' '' tests/api.sh
step named 'TLS, all tests' 'c++' tests/tls.sh all
for side in 'server echo' 'server async_echo' 'client conformance_client' 'client async_conformance_client'; do
    step named "conformance over TLS, ${side#* }" 'c++ python openssl stunnel' \
        tests/conformance/over_tls.sh "${side% *}" "${side#* } deflate" '*' --messages=30
done
step named 'packages' '' tests/package.sh

[ "${wanted[0]}" != list ] || exit 0
case ${wanted[0]} in
    fast | full) ;;
    *)
        for name in "${wanted[@]}"; do
            printf '%s\n' "${ran[@]}" | grep -Fxq -- "$name" || {
                printf 'unknown step %s; run.sh list prints all\n' "$name" >&2
                exit 2
            }
        done
        ;;
esac
if [ -s "$NOT_RUN_HERE" ]; then
    printf '\nNOT RUN HERE:\n%s\n' "$(cat "$NOT_RUN_HERE")"
fi
printf '\nall passed in %d s; %d could not run here\n' "$SECONDS" "$(wc -l <"$NOT_RUN_HERE")"
