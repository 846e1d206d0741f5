"""The error tree."""

from __future__ import annotations

from avcall.common import errors


def test_every_fatal_error_has_its_own_exit_code() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.AvcallError)]
    fatal = [kind for kind in kinds if kind is not errors.ProtocolError]
    codes = [kind.exit_code for kind in fatal]
    assert len(set(codes)) == len(codes) == 11
    assert all(0 < code < 126 for code in codes)


def test_the_tree_in_the_docstring_names_every_error() -> None:
    assert errors.__doc__ is not None
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, errors.AvcallError):
            assert name in errors.__doc__
