#!/bin/sh
# Debian's Chromium for the tests of the user interface, where it is missing and this user may install it.
set -eu
command -v chromium > /dev/null && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
    echo 'No chromium on PATH: the tests in a browser will be skipped. Install it (Debian: apt-get install chromium).' >&2
    exit 0
fi
apt-get update -qq > /dev/null
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core > /dev/null
chromium --version
