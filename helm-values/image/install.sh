#!/bin/sh
# Installs k8s_hub into the Python of a hub's image: install.sh WHEEL [OPTION OF PIP...]
# Nothing that the image has is changed; where that is impossible, pip says why, and the build fails.
set -eu

wheel=$1
shift
here=$(dirname "$0")
pip="python3 -m pip --disable-pip-version-check --no-cache-dir"

$pip freeze --all --exclude-editable | grep '==' >"$here/constraints.txt"
# Compiled here, because the hub's user cannot write into the image.
$pip install --root-user-action=ignore --compile --constraint "$here/constraints.txt" "$@" \
  --requirement "$here/requirements.txt" "$wheel"
$pip check
python3 -c "import k8s_hub; print(k8s_hub.KubeSpawner, k8s_hub.IdleCuller)"
