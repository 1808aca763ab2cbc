#!/bin/sh
# Debian's programs for the image, or those that are named, where one is missing and this user may install them.
set -eu
missing=
for program in ${*:-buildah podman runc skopeo debootstrap}; do
    # Debian keeps some of them in /usr/sbin, which is not on every user's PATH.
    PATH="$PATH:/usr/sbin:/sbin" command -v "$program" > /dev/null || missing="$missing $program"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
    echo "Not on PATH:$missing. The image's tests will be skipped. Install them (Debian: apt-get install$missing)." >&2
    exit 0
fi
apt-get update -qq > /dev/null
# shellcheck disable=SC2086 # a list of words
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing > /dev/null
