"""The wheel: every module, weight and asset that git tracks is inside, under avcall and nowhere else."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("bench", "cli", "common", "models", "receiver", "sender", "signaling")


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names inside a wheel built from a copy of the tree, as a release is."""
    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "tree"  # setuptools leaves its build folder in the tree, and would pack stale files from it
    for name in (*FOLDERS, "pyproject.toml", "README.md", "LICENSE"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tree / name)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(tree)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stderr[-2000:]
    (wheel,) = folder.glob("avcall-*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


@pytest.mark.real_time
def test_the_wheel_holds_every_module_and_asset(wheel_names: set[str]) -> None:
    wanted = {
        f"avcall/{path.relative_to(ROOT).as_posix()}"
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted - wheel_names == set()


@pytest.mark.real_time
def test_the_wheel_installs_nothing_under_a_bare_name(wheel_names: set[str]) -> None:
    tops = {name.split("/")[0] for name in wheel_names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"avcall"}
