#!/usr/bin/env bash
# Install the parts of the tests that pip can't bring: Chromium and PostgreSQL, from Debian or Ubuntu, where they are
# missing and this user may. With CI set, a part that is still missing is an error at once; else the tests that need
# it fail and say so.
set -euo pipefail

missing=()
command -v chromium chromium-browser google-chrome >/dev/null || missing+=(chromium)
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || missing+=(postgresql)
[ ${#missing[@]} -eq 0 ] && exit 0

if command -v apt-get >/dev/null; then
    if [ "$(id -u)" -eq 0 ]; then
        as_root=(env)
    elif sudo -n true 2>/dev/null; then
        as_root=(sudo -n)
    fi
fi

if [ -n "${as_root+set}" ]; then
    echo "Installing ${missing[*]} with apt-get"
    # PostgreSQL's package starts a server of its own, which the tests don't use.
    install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends)
    if ! { "${install[@]}" "${missing[@]}" >/dev/null ||
        { "${as_root[@]}" apt-get update -qq && "${install[@]}" "${missing[@]}" >/dev/null; }; }; then
        echo "apt-get could not install ${missing[*]}" >&2
        [ -z "${CI:-}" ]
    fi
else
    echo "The tests need ${missing[*]}, and this user may not install it: install it, e.g. with" >&2
    echo "    sudo apt-get install ${missing[*]}" >&2
    [ -z "${CI:-}" ]
fi
