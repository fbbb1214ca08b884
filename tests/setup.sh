#!/usr/bin/env bash
# Installs what the tests need and this machine lacks. Only rustup's stable toolchain is presumed.
set -euo pipefail

packages=()
python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3 python3-venv)
for tool in curl node npm; do
    command -v "$tool" >/dev/null || packages+=("${tool/%node/nodejs}")
done
command -v ip >/dev/null || packages+=(iproute2)
command -v c++ >/dev/null || packages+=(g++) # libFuzzer is C++
pkg-config --exists glib-2.0 2>/dev/null || packages+=(pkg-config libglib2.0-dev)
[ -x "${CHROMIUM:-/usr/bin/chromium}" ] || packages+=(chromium)
command -v Xvfb >/dev/null || packages+=(xvfb)
command -v xdotool >/dev/null || packages+=(xdotool)
# What a window on X11 loads when it opens.
for library in libX11-xcb.so.1=libx11-xcb1 libXcursor.so.1=libxcursor1 libXi.so.6=libxi6 libxkbcommon-x11.so.0=libxkbcommon-x11-0; do
    /sbin/ldconfig -p | grep -F "${library%=*}" >/dev/null || packages+=("${library#*=}")
done

if [ ${#packages[@]} -gt 0 ]; then
    as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    echo "installing ${packages[*]}"
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi

cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
cargo clippy --version >/dev/null 2>&1 || rustup component add clippy
