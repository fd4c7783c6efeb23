"""The image's ingredients, cache and archive, on trees of a few bytes; tests/containers runs the image."""

import hashlib
import json
import os
import tarfile
import zipfile

import pytest

from devkit.realcluster import images
from devkit.realcluster.build import ClusterUnavailableError

PYPROJECT = """
[project]
dependencies = ["jupyterhub>=5.5"]
[project.optional-dependencies]
demo = ["jupyterlab>=4.4"]
dev = ["pytest"]
"""
PINNED = """\
colorama==0.4.6 ; sys_platform == 'no such platform'
soupsieve==2.10 ; python_full_version < '3.11.5'
soupsieve==4.1.2 ; python_full_version >= '3.11.5'
zipp==4.2.0 ; python_version < '3.12'
"""


def tar_of(path, **files):
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            images._add(tar, tarfile.TarInfo(name), content)
    return path


def test_other_ingredients_have_another_fingerprint():
    recipes = [("ab", "c"), ("a", "bc"), ("abc",), ("ab", "c", "")]
    assert len({images.fingerprint(*recipe) for recipe in recipes}) == len(recipes)
    assert images.fingerprint("ab", "c") == images.fingerprint("ab", "c")


def test_tools_of_developers_stay_out_of_the_image():
    assert images.runtime_requirements(PYPROJECT) == ["jupyterhub>=5.5", "jupyterlab>=4.4"]


def test_versions_are_those_for_the_images_own_python():
    assert images.pinned_for("3.11.2", PINNED) == "soupsieve==2.10\nzipp==4.2.0\n"
    assert images.pinned_for("3.12.0", PINNED) == "soupsieve==4.1.2\n"


def test_what_is_asked_for_depends_on_the_python_that_it_is_for():
    asked = [
        "aiohttp[speedups]>=3.11",
        "orjson>=3.10; python_version < '3.15'",
        "tomli; python_version < '3.11'",
    ]
    assert images.asked_by("3.14.0", asked) == ["aiohttp[speedups]>=3.11", "orjson>=3.10"]
    assert images.asked_by("3.15.0", asked) == ["aiohttp[speedups]>=3.11"]


def test_a_wheel_lies_where_the_images_python_looks(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as wheel:
        wheel.writestr("k8s_hub/__init__.py", "one = 1")
    with tarfile.open(images.pack_wheel(tmp_path / "a.whl", tmp_path / "code.tar")) as layer:
        place = "opt/jupyter/lib/python3.11/site-packages/k8s_hub/__init__.py"
        assert layer.extractfile(place).read() == b"one = 1"
        assert layer.getmember(place).mode == 0o644


def test_the_archive_names_its_layers_from_the_lowest_by_what_they_hold(tmp_path):
    layers = [tar_of(tmp_path / "low.tar", a=b"1"), tar_of(tmp_path / "high.tar", a=b"2")]
    images.write_archive(tmp_path / "image.tar", name="k8s-hub/user:hub-6", layers=layers)
    with tarfile.open(tmp_path / "image.tar") as archive:
        (image,) = json.load(archive.extractfile("manifest.json"))
        packed = [archive.extractfile(name).read() for name in image["Layers"]]
        raw_config = archive.extractfile(image["Config"]).read()
    assert image["RepoTags"] == ["k8s-hub/user:hub-6"]
    assert packed == [layer.read_bytes() for layer in layers]
    config = json.loads(raw_config)
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in packed]
    assert image["Config"] == f"{hashlib.sha256(raw_config).hexdigest()}.json"
    assert config["config"]["User"] == "1000"


def test_a_file_of_the_cache_is_made_once_and_whole_or_not_at_all(tmp_path):
    finished = tmp_path / "box/layer.tar"

    def fail_halfway(target):
        target.write_text("half")
        raise ClusterUnavailableError("no network")

    with pytest.raises(ClusterUnavailableError):
        images.made_once(finished, fail_halfway)
    assert list(finished.parent.iterdir()) == []
    images.made_once(finished, lambda target: target.write_text("whole"))
    images.made_once(finished, fail_halfway)
    assert [path.read_text() for path in finished.parent.iterdir()] == ["whole"]


def test_images_of_earlier_code_are_dropped_and_layers_stay(tmp_path):
    names = ["image-hub-6-aaaa.tar", "image-hub-6-bbbb.tar", "image-hub-5-aaaa.tar", "image-base-aaaa.tar"]
    for name in names:
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, 0))
    young = tmp_path / "image-hub-6-cccc.tar"
    young.touch()
    images._drop_older(tmp_path / "image-hub-6-bbbb.tar")
    assert {path.name for path in tmp_path.iterdir()} == {*names[1:], young.name}


def test_what_killed_builders_left_goes_when_the_next_one_builds(tmp_path):
    for name in ("image-base-aaaa-old", "image-base-aaaa-young", "kwok-aaaa-old"):
        (tmp_path / name / "root").mkdir(parents=True)
    for old in tmp_path.glob("*-old"):
        os.utime(old, (0, 0))
    images.made_once(tmp_path / "image-code.tar", lambda target: target.touch())
    names = {"image-code.tar", "image-base-aaaa-young", "kwok-aaaa-old"}
    assert {path.name for path in tmp_path.iterdir()} == names


def test_without_the_tools_one_sentence_says_which_are_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterUnavailableError, match=r"needs debootstrap, unshare, tar: no such program"):
        images.check_machine()
