#!/usr/bin/env bash
# Installs the tools that a step of run.sh needs and this machine lacks. Requires only rustup's stable toolchain.
#
# usage: setup.sh TOOL…   rustfmt clippy c++ python node curl openssl stunnel ip glib chromium window wine
set -euo pipefail

packages=()
for tool in "$@"; do
    case $tool in
        rustfmt) cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt ;;
        clippy) cargo clippy --version >/dev/null 2>&1 || rustup component add clippy ;;
        c++) command -v c++ >/dev/null || packages+=(g++) ;; # libFuzzer is C++
        python) python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3 python3-venv) ;;
        node)
            command -v node >/dev/null || packages+=(nodejs)
            command -v npm >/dev/null || packages+=(npm)
            ;;
        curl) command -v curl >/dev/null || packages+=(curl) ;;
        openssl) command -v openssl >/dev/null || packages+=(openssl) ;;
        stunnel) command -v stunnel >/dev/null || packages+=(stunnel4) ;;
        ip) command -v ip >/dev/null || packages+=(iproute2) ;;
        glib) pkg-config --exists glib-2.0 2>/dev/null || packages+=(pkg-config libglib2.0-dev) ;;
        chromium) [ -x "${CHROMIUM:-/usr/bin/chromium}" ] || packages+=(chromium) ;;
        window)
            command -v Xvfb >/dev/null || packages+=(xvfb)
            command -v xdotool >/dev/null || packages+=(xdotool)
            # Libraries that an X11 window loads when it opens.
            for library in libX11-xcb.so.1=libx11-xcb1 libXcursor.so.1=libxcursor1 libXi.so.6=libxi6 \
                libxkbcommon-x11.so.0=libxkbcommon-x11-0; do
                /sbin/ldconfig -p | grep -F "${library%=*}" >/dev/null || packages+=("${library#*=}")
            done
            ;;
        wine)
            rustup target list --installed | grep -Fx x86_64-pc-windows-gnu >/dev/null ||
                rustup target add x86_64-pc-windows-gnu
            [ -x /usr/lib/wine/wine64 ] || packages+=(wine64)
            command -v x86_64-w64-mingw32-gcc-posix >/dev/null || packages+=(gcc-mingw-w64-x86-64-posix)
            ;;
        *)
            echo "unknown tool $tool" >&2
            exit 2
            ;;
    esac
done

if [ ${#packages[@]} -gt 0 ]; then
    as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    echo "installing ${packages[*]}"
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi
