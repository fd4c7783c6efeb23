import subprocess
import sys
import tempfile
from pathlib import Path

from devkit.realcluster.cleanup import clean_up
from devkit.realcluster.folders import PLACE, PREFIX, cluster_folders, held_folder, living_names

ROOT = Path(__file__).parents[3]
HOLD_AND_DIE = """
import os, signal
from devkit.realcluster.folders import held_folder
with held_folder() as folder:
    (folder / "credentials").mkdir()
    (folder / "credentials/key").touch()
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def folder_of_a_killed_process():
    result = subprocess.run(
        [sys.executable, "-c", HOLD_AND_DIE], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return Path(result.stdout.strip())


def test_a_folder_goes_with_its_holder_and_is_known_as_long():
    with held_folder() as folder:
        assert folder.name in living_names()
        assert folder in cluster_folders()
    assert not folder.exists()


def test_what_a_killed_process_left_is_removed_and_what_lives_is_not():
    dead = folder_of_a_killed_process()
    assert (dead / "credentials/key").exists()
    with held_folder() as living:
        assert dead.name in clean_up()
        assert not dead.exists()
        assert living.exists()


def test_a_folder_that_cannot_be_asked_is_left_alone():
    """A cluster of an older version holds no lock."""
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=PLACE) as folder:
        assert Path(folder).name in living_names()
        assert Path(folder).name not in clean_up()
        assert Path(folder).exists()
