"""Helm itself takes the files in helm-values/, and merges them as tests/chart/values.py says."""

import base64
import gzip
import json
import shutil
import subprocess
from itertools import combinations

import pytest
import yaml

from devkit.chart.values import CHART, FILES, schema, values_with
from devkit.realcluster.build import build_helm

LARGEST_SECRET = 1024 * 1024  # bytes

pytestmark = pytest.mark.cluster

PATHS = sorted(FILES.glob("*.yaml"))
WAYS = [path for path in PATHS if path.stem.startswith("code-from-")]
SWITCHES = [path for path in PATHS if path not in WAYS]
SETS = [(path,) for path in PATHS] + [*combinations(SWITCHES, 2), tuple(SWITCHES), (*SWITCHES, *WAYS[:1])]


@pytest.fixture(scope="module")
def helm(tmp_path_factory):
    """A function that runs helm on the small chart, and returns its exit code and what it printed."""
    program, folder = build_helm(), tmp_path_factory.mktemp("helm")
    chart = folder / "small"
    shutil.copytree(CHART, chart)
    (chart / "values.schema.json").write_text(json.dumps(schema()))
    home = {f"HELM_{kind}_HOME": str(folder / kind) for kind in ("CACHE", "CONFIG", "DATA")}

    def run(*arguments):
        done = subprocess.run(
            [program, *arguments],
            cwd=folder,
            env=home,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        return done.returncode, done.stdout + done.stderr

    return run


def with_files(paths):
    return [word for path in paths for word in ("-f", str(path))]


def values_in(printed):
    """Return the values that Helm has merged; `global` is its own."""
    values = yaml.safe_load(yaml.safe_load(printed)["data"]["values"])
    values.pop("global", None)
    return values


def without_nulls(value):
    if not isinstance(value, dict):
        return value
    return {key: without_nulls(one) for key, one in value.items() if one is not None}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_lint_finds_nothing_wrong(helm, path):
    code, printed = helm("lint", "--strict", "small", *with_files([path]))
    assert (code, "1 chart(s) linted, 0 chart(s) failed" in printed) == (0, True), printed


@pytest.mark.parametrize("paths", SETS, ids=lambda paths: "+".join(path.stem for path in paths))
def test_helm_merges_as_the_other_tests_believe(helm, paths):
    """A null in the chart's own values is kept by one version of Helm and dropped by another."""
    code, printed = helm("template", "jhub", "small", *with_files(paths))
    assert code == 0, printed
    assert without_nulls(values_in(printed)) == without_nulls(values_with(*paths))


@pytest.mark.parametrize("verb", [("lint", "small"), ("template", "jhub", "small")], ids=lambda verb: verb[0])
def test_a_key_that_the_chart_does_not_have_is_refused(helm, verb, tmp_path):
    (tmp_path / "wrong.yaml").write_text("cull: {maxage: 5}\n")
    code, printed = helm(*verb, *with_files([tmp_path / "wrong.yaml"]))
    assert (code, "maxage" in printed) == (1, True), printed


@pytest.mark.parametrize(
    "own",
    [
        "hub: {extraConfig: {40-k8s-hub-sqlite: null}}",  # no key of the chart's: it stays, as null
        "hub: {extraConfig: {40-k8s-hub-sqlite: ''}}",
        "hub: {db: null}",
        "singleuser: {extraEnv: {JUPYTERHUB_ACTIVITY_INTERVAL: '900'}, memory: {guarantee: null}}",
    ],
)
def test_an_admins_own_values_are_merged_as_the_other_tests_believe(helm, tmp_path, own):
    (tmp_path / "own.yaml").write_text(own + "\n")
    paths = [FILES / "large-hub.yaml", tmp_path / "own.yaml"]
    code, printed = helm("template", "jhub", "small", *with_files(paths))
    assert code == 0, printed
    assert values_in(printed) == values_with(*paths)


def test_the_wheel_is_too_large_for_a_release_and_fits_a_config_map(wheel):
    """Why it does not come through hub.extraFiles: Helm keeps a release, compressed and in base64, in one Secret.

    There the wheel is in the values, in the hub's own Secret, and in the copy of all values that the chart puts
    into that.
    """
    text = base64.b64encode(wheel.read_bytes())
    copies = b"".join([text, text, base64.b64encode(text)])
    assert len(base64.b64encode(gzip.compress(copies))) > LARGEST_SECRET
    assert wheel.stat().st_size < LARGEST_SECRET / 2
