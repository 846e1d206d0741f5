#!/bin/sh
# Sets up avcall in .venv: Debian packages where they are missing and may be installed, then Python's.
# Usage: scripts/setup.sh [EXTRA]   e.g. "dev" for the tests; without one, what a call needs.
set -eu
cd "$(dirname "$0")/.."
extra=${1:-}

# -- the system's part -------------------------------------------------------------------------------------------
# libportaudio2: sound; libgl1 and libglib2.0-0: opencv; iproute2: the two-hosts test
packages="libportaudio2 libgl1 libglib2.0-0 python3-venv"
[ "$extra" = dev ] && packages="$packages iproute2"
if command -v dpkg-query >/dev/null 2>&1; then
    missing=""
    for package in $packages; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "install ok installed" || missing="$missing $package"
    done
    # python3-venv matters only where the Python in use is Debian's
    if python3 -c 'import ensurepip, venv' 2>/dev/null; then missing=$(echo "$missing" | sed 's/ python3-venv//'); fi
    if [ -n "$missing" ]; then
        if [ "$(id -u)" = 0 ]; then sudo=""; elif sudo -n true 2>/dev/null; then sudo="sudo"; else sudo="no"; fi
        if [ "$sudo" = no ]; then
            echo "setup: these packages are missing; install them with: sudo apt-get install$missing" >&2
        else
            export DEBIAN_FRONTEND=noninteractive
            $sudo apt-get update -q
            # shellcheck disable=SC2086 # a list of words
            $sudo apt-get install -y -q --no-install-recommends $missing
        fi
    fi
fi

# -- Python's part -----------------------------------------------------------------------------------------------
python=${PYTHON:-}
if [ -z "$python" ]; then
    for candidate in python3.11 python3.12 python3; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null; then
            python=$candidate
            break
        fi
    done
fi
if [ -z "$python" ]; then
    echo "setup: avcall needs Python 3.11 or 3.12; install one, or name it: make PYTHON=/path/to/python3.11" >&2
    exit 1
fi
[ -x .venv/bin/python ] || "$python" -m venv .venv
target=.
[ -n "$extra" ] && target=".[$extra]"
echo "setup: installing avcall and what it needs into .venv (the first time takes some minutes)"
.venv/bin/python -m pip install -q --disable-pip-version-check -e "$target"
touch ".venv/installed-${extra:-core}"
