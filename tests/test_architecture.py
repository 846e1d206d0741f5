"""Which room may enter which: the table of docs/architecture.md, held by walking the imports."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "common": set(),
    "models": {"common"},
    "sender": {"common", "models"},
    "receiver": {"common", "models"},
    "signaling": {"common"},
    "bench": {"common", "models", "sender", "receiver", "signaling"},
    "cli": {"common", "models", "sender", "receiver", "signaling", "bench"},
}
ONLY_IN = {
    "aiortc": {"signaling/peer.py"},
    "aioice": {"signaling/peer.py"},
    "mediapipe": {"models/face_mesh.py", "models/segmentation.py"},
}


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update({node.module, *(f"{node.module}.{alias.name}" for alias in node.names)})
    return names


def _modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_rooms_enter_only_rooms_they_may(folder: str) -> None:
    allowed = {folder, *MAY_IMPORT[folder]}
    for path in _modules(folder):
        rooms = {name.split(".")[1] for name in _imports(path) if name.startswith("avcall.")}
        assert rooms <= allowed, f"{path.relative_to(ROOT)} imports {sorted(rooms - allowed)}"


@pytest.mark.parametrize("library", ONLY_IN)
def test_libraries_that_only_one_module_may_import(library: str) -> None:
    for folder in MAY_IMPORT:
        for path in _modules(folder):
            if any(name.split(".")[0] == library for name in _imports(path)):
                assert path.relative_to(ROOT).as_posix() in ONLY_IN[library]


def test_common_does_no_tensors_and_no_io() -> None:
    banned = {"torch", "cv2", "av", "socket", "aiohttp", "subprocess", "threading"}
    for path in _modules("common"):
        assert not {name.split(".")[0] for name in _imports(path)} & banned, path.name


def test_every_package_is_in_pyproject() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    found = {
        "avcall." + init.parent.relative_to(ROOT).as_posix().replace("/", ".")
        for folder in MAY_IMPORT
        for init in (ROOT / folder).rglob("__init__.py")
    }
    assert set(config["packages"]) == found
    tops = {name: name.split(".")[1] for name in found if name.count(".") == 1}
    for name, folder in tops.items():
        assert config["package-dir"][name] == folder
        assert (ROOT / folder / "py.typed").is_file()


def test_nothing_shadows_the_namespace() -> None:
    assert not (ROOT / "avcall").exists()
    assert (ROOT / ".typing" / "avcall").is_symlink()
