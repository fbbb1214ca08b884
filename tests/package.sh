#!/usr/bin/env bash
# Packages each published crate, and builds, documents and tests it with only its package and those of its siblings,
# which stand in for the registry.
#
# Cargo warns about each test that a package excludes, with no way to allow it. Any other warning fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
crates=(ws-proto ws-host ws-server-mio ws-server-smol)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
target=${CARGO_TARGET_DIR:-$PWD/target}
# Outside the repository, which no test may find.
alone=$(mktemp -d)
trap 'rm -rf "$alone"' EXIT
source tests/check.sh

succeeds() { # NAME COMMAND...: passes without a warning
    local name=$1 log=$alone/log status=0
    shift
    "$@" >"$log" 2>&1 || status=$?
    check "$name" "$([ $status -eq 0 ] && ! grep -q '^warning' "$log" || cat "$log")"
}

log=$alone/packaging
if ! cargo package --no-verify --allow-dirty --workspace --exclude ws-kit --color never 2>"$log"; then
    cat "$log"
    exit 1
fi
excluded='^warning: ignoring (test|example) .* is not included in the published package$'
echo "$(grep -cE "$excluded" "$log" || true) tests and examples need the repository and are excluded"
check 'cargo has no other warnings' "$(grep -E '^(warning|error)' "$log" | grep -vE "$excluded" || true)"

for crate in "${crates[@]}"; do
    tar -xzf "$target/package/$crate-$version.crate" -C "$alone"
done

export CARGO_TARGET_DIR=$target/alone CARGO_PROFILE_DEV_DEBUG=0
for crate in "${crates[@]}"; do
    folder=$alone/$crate-$version
    check "$crate has both licences" "$(
        for licence in LICENSE-MIT LICENSE-APACHE; do cmp "$licence" "$folder/$licence" 2>&1 || true; done
    )"
    check "$crate: its README links only to packaged files" "$(
        { grep -oE '\]\([^)#]+' "$folder/README.md" || true; } | sed 's/^](//' | grep -vE '^(https?|mailto):' |
            while read -r file; do [ -e "$folder/$file" ] || echo "$file"; done
    )"
    # Packages have no workspace profiles, and the exhaustive tests visit more than a million states.
    with=(--config profile.dev.package.ws-proto.opt-level=1)
    for sibling in "${crates[@]}"; do
        ! grep -q "^\[dependencies\.$sibling\]" "$folder/Cargo.toml" ||
            with+=(--config "patch.crates-io.$sibling.path='$alone/$sibling-$version'")
    done
    succeeds "$crate builds alone" env -C "$folder" cargo build "${with[@]}"
    succeeds "the documentation of $crate builds alone" \
        env -C "$folder" RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --features "$([ "$crate" = ws-proto ] && echo deflate || echo deflate,tls)" "${with[@]}"
    succeeds "$crate passes its packaged tests" env -C "$folder" cargo test --no-fail-fast "${with[@]}"
    awk -v crate="$crate" '/^test result: ok/ { n += $4 } END { print "      " n + 0 " tests of " crate }' "$alone/log"
done

summary package
