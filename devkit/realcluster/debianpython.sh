#!/bin/sh
# Debian testing's Python, in two acts:
#
#   debianpython.sh base ROOT MIRROR VERSION  a root file system with that Python and venv
#   debianpython.sh test ROOT WHEELS PROJECT VERSION REQUIREMENT... -- COMMAND...
#                                             on such a ROOT, the requirements from WHEELS, as pip installs them for a
#                                             user, and the command in a copy of PROJECT
#
# Needs root, and a mount namespace of its own: what is mounted then goes with this process, however it ends.
set -eu

SUITE=testing
ENVIRONMENT=/opt/k8s-hub

make_base() {
  debootstrap --variant=minbase --include="python$3,python$3-venv,ca-certificates,procps" "$SUITE" "$1" "$2"
  rm -rf "$1"/usr/share/doc/* "$1"/usr/share/man/* "$1"/usr/share/locale/* "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/*
}

make_test() {
  root=$1 wheels=$2 project=$3 python=python$4
  shift 4
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mkdir "$root/tmp/wheels" "$root/project"
  mount --bind "$wheels" "$root/tmp/wheels"
  mount --bind "$project" "$root/project"
  requirements=
  while [ "$1" != -- ]; do
    requirements="$requirements $1"
    shift
  done
  shift
  chroot "$root" "$python" -m venv "$ENVIRONMENT"
  # shellcheck disable=SC2086 # words
  chroot "$root" "$ENVIRONMENT/bin/pip" install --quiet --disable-pip-version-check --root-user-action=ignore \
    --no-index --find-links=/tmp/wheels $requirements
  exec chroot "$root" env --chdir=/project --ignore-environment HOME=/root LANG=C.UTF-8 TERM=dumb \
    PYTHONPATH=/project "PATH=$ENVIRONMENT/bin:/usr/bin:/bin:/usr/sbin:/sbin" "$@"
}

act=$1
shift
"make_$act" "$@"
