#!/bin/sh
# The root file system of users' servers and of hubs, in three acts:
#
#   install.sh base ROOT MIRROR                      Debian with Python, and the user jovyan
#   install.sh packages ROOT WHEELS PIP REQUIREMENT...  on such a ROOT, a virtual environment in /opt/jupyter
#   install.sh hub ROOT FOLDER PIP                   on such a ROOT, k8s_hub: by FOLDER/install.sh, from FOLDER's wheels
#
# Needs root, and a mount namespace of its own: what debootstrap mounts then goes with this process, however it ends.
set -eu

SUITE=bookworm
ENVIRONMENT=/opt/jupyter

make_base() {
  debootstrap --variant=minbase --include=python3 "$SUITE" "$1" "$2"
  chroot "$1" useradd --uid 1000 --gid users --create-home --shell /bin/bash jovyan
  # What no server reads.
  rm -rf "$1"/usr/share/doc/* "$1"/usr/share/man/* "$1"/usr/share/info/* "$1"/usr/share/locale/* \
    "$1"/usr/share/i18n/* "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/* "$1"/var/log/* "$1"/tmp/*
}

make_packages() {
  root=$1 wheels=$2 pip=$3
  shift 3
  mkdir "$root/tmp/wheels" "$root/tmp/installer"
  mount --bind "$wheels" "$root/tmp/wheels"
  cp -r "$pip" "$root/tmp/installer/pip"
  chroot "$root" python3 -m venv --without-pip "$ENVIRONMENT"
  # Compiled here, because a user cannot write into the image; without it every start would compile everything.
  PYTHONPATH=/tmp/installer chroot "$root" "$ENVIRONMENT/bin/python" -m pip install \
    --no-index --find-links=/tmp/wheels --no-cache-dir --disable-pip-version-check --root-user-action=ignore "$@"
  find "$root$ENVIRONMENT" -name "*.map" -delete # for the debuggers of browsers
}

make_hub() {
  root=$1 folder=$2 pip=$3
  mkdir "$root/tmp/k8s-hub" "$root/tmp/installer"
  mount --bind "$folder" "$root/tmp/k8s-hub"
  cp -r "$pip" "$root/tmp/installer/pip"
  in_root() { chroot "$root" env "PATH=$ENVIRONMENT/bin:/usr/bin:/bin" PYTHONPATH=/tmp/installer "$@"; }
  # The chart's image has neither.
  in_root python3 -m pip uninstall --yes --disable-pip-version-check --root-user-action=ignore orjson tzdata
  in_root sh -c 'sh /tmp/k8s-hub/install.sh /tmp/k8s-hub/k8s_hub-*.whl --no-index --find-links=/tmp/k8s-hub'
}

act=$1
shift
"make_$act" "$@"
