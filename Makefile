# The short list of commands. `make demo` runs the main job, `make test` passes the tests.
PYTHON ?= python3
ARGS ?=

.PHONY: demo test lint types law unit test-cluster test-hub5 bench lock clean

demo: .venv/.ready proxy/node_modules/.ready  ## the whole story on this machine
	.venv/bin/k8s-hub demo $(ARGS)

test: lint types law unit  ## everything that needs no root and no Go

lint: .venv/.ready
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

types: .venv/.ready
	.venv/bin/mypy

law: .venv/.ready
	.venv/bin/lint-imports

unit: .venv/.ready
	.venv/bin/coverage erase
	.venv/bin/coverage run -m pytest $(ARGS)
	.venv/bin/coverage combine --quiet
	.venv/bin/coverage report

test-hub5: .venv-hub5/.ready  ## the tests that run a hub, on JupyterHub 5.5
	.venv-hub5/bin/pytest -m "hub and not cluster" $(ARGS)

test-cluster: .venv/.ready  ## the real Kubernetes API server; needs Go
	.venv/bin/pytest -m cluster $(ARGS)

bench: .venv/.ready
	.venv/bin/pytest -m bench -s $(ARGS)

# Two clones get the same environment: every version is pinned in requirements/.
.venv/.ready: requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -r requirements/dev.txt
	.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

.venv-hub5/.ready: requirements/hub-5.txt pyproject.toml
	$(PYTHON) -m venv .venv-hub5
	.venv-hub5/bin/pip install --quiet --disable-pip-version-check -r requirements/hub-5.txt
	.venv-hub5/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

lock:  ## renew the pinned versions (needs uv)
	uv pip compile --quiet --universal --no-header --no-annotate --python-version 3.11 --extra dev \
	  --constraint requirements/hub-6.in pyproject.toml -o requirements/dev.txt
	uv pip compile --quiet --universal --no-header --no-annotate --python-version 3.11 --extra dev \
	  --constraint requirements/hub-5.in pyproject.toml -o requirements/hub-5.txt

clean:
	rm -rf .venv .venv-hub5 proxy/node_modules .demo .coverage* .mypy_cache .ruff_cache .pytest_cache
