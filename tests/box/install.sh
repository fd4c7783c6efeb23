#!/bin/sh
# Installs the Debian packages that a cluster with containers needs, those of them that are missing; for root.
set -eu
cd "$(dirname "$0")/../.."

# Python alone: there may be no environment yet.
packages=$(python3 -c 'from tests.box.needs import packages_to_install; print(*packages_to_install())')
[ -n "$packages" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
  echo "Only root can install $packages" >&2
  exit 1
fi
apt-get update --quiet --quiet
DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes --no-install-recommends $packages
