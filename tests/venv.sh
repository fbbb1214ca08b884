#!/usr/bin/env bash
# Prints the path of a Python with the packages of requirements.txt; creates it when missing or outdated.
set -euo pipefail
tests=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=${CARGO_TARGET_DIR:-$tests/../target}/venv-tests
if ! cmp -s "$tests/requirements.txt" "$venv/requirements.txt"; then
    python3 -m venv --clear "$venv" >&2
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$tests/requirements.txt" >&2
    cp "$tests/requirements.txt" "$venv/requirements.txt"
fi
echo "$venv/bin/python"
