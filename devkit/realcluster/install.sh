#!/bin/sh
# Installs the Debian packages that a cluster with containers and the tests in a browser need, those of them that
# are missing; for root.
set -eu
cd "$(dirname "$0")/../.."

# Python alone: there may be no environment yet.
packages=$(python3 -c 'from devkit.realcluster.needs import BROWSER, DEBIAN, packages_to_install; print(*packages_to_install((*DEBIAN, BROWSER)))')
[ -n "$packages" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
  echo "Only root can install $packages" >&2
  exit 1
fi
apt-get update --quiet --quiet
DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes --no-install-recommends $packages
