import subprocess
import sys
import tempfile
from pathlib import Path

from devkit.realcluster import leftovers
from devkit.realcluster.folders import PLACE, held_folder

ROOT = Path(__file__).parents[3]


def watched(*command):
    """Run a command under watch, in a process of its own, as it adopts orphans."""
    return subprocess.run(
        [sys.executable, "-m", "devkit.realcluster.leftovers", "--grace=0.5", "--", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_tidy_command_keeps_its_exit_code():
    assert watched("true").returncode == 0
    failed = watched("sh", "-c", "exit 7")
    assert (failed.returncode, failed.stderr) == (7, "")


def test_a_process_left_behind_is_named_and_ended(tmp_path):
    """Its parent is gone, it has a session of its own, and no marker in its environment."""
    told = tmp_path / "pid"
    script = f"env -i setsid sh -c 'echo $$ >{told}; exec sleep 601' & while ! test -s {told}; do :; done"
    result = watched("sh", "-c", script)
    assert result.returncode == 1
    assert f"Left behind: process {told.read_text().strip()}: sleep 601" in result.stderr
    assert not Path("/proc", told.read_text().strip()).exists()


def test_a_folder_left_behind_is_named(tmp_path):
    with tempfile.TemporaryDirectory(prefix="k8s-hub-left-", dir=PLACE) as parent:
        left = f"{parent}-by-the-command"
        result = watched("mkdir", left)
        Path(left).rmdir()
    assert result.returncode == 1
    assert f"Left behind: folder {left}\n" in result.stderr


def test_what_belongs_to_another_living_box_does_not_count():
    before = leftovers.take_stock()
    with held_folder() as folder:
        assert f"folder {folder}" in leftovers.take_stock() - before
        assert f"folder {folder}" not in leftovers.left_since(before)


def test_a_bridge_and_what_is_plugged_in_are_a_boxs():
    stock = {"link khb-abc12345", "link veth1 of khb-abc12345", "link khb-other678", "link eth0"}
    assert leftovers.of_clusters(stock, {"k8s-hub-box-abc12345"}) == {
        "link khb-abc12345",
        "link veth1 of khb-abc12345",
    }
