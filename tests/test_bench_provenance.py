"""Results say what made them, and no more."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from avcall.bench.provenance import provenance


def test_version_commit_and_machine() -> None:
    made_by = provenance()
    assert set(made_by) == {"version", "commit", "machine"}
    assert made_by["machine"]["cores"] >= 1
    assert str(Path.home()) not in str(made_by)


def test_without_a_checkout_there_is_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_git(*_: object, **__: object) -> None:
        raise subprocess.CalledProcessError(128, "git")

    monkeypatch.setattr(subprocess, "run", no_git)
    assert provenance()["commit"] is None


def test_a_changed_checkout_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"rev-parse": "0123456789\n", "status": " M models/lpips.py\n"}

    def git(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 0, answers[command[1]], "")

    monkeypatch.setattr(subprocess, "run", git)
    assert provenance()["commit"] == "0123456789+"
