#!/usr/bin/env bash
# Installs Debian packages, as far as possible: checks whose package cannot be installed report NOT RUN HERE.
#
# usage: install.sh PACKAGE…
set -euo pipefail
[ $# -gt 0 ] || exit 0
as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
"${as_root[@]}" apt-get update -qq || true
for package in "$@"; do
    echo "installing $package"
    # At this runlevel, apt does not start installed servers.
    "${as_root[@]}" env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
        apt-get -o DPkg::Lock::Timeout=60 install -y -qq --no-install-recommends "$package" >/dev/null || true
done
