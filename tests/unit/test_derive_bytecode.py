"""Bytecode is made by interpreters that may do anything; what they do wrong is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers.derive.bytecode import compile_tree
from workers.errors import Failure


def test_an_interpreter_that_does_not_end_is_a_failure_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.derive.bytecode._PATIENCE_S", 0.2)
    with pytest.raises(Failure, match="do not compile") as failure:
        compile_tree([["/bin/sh", "-c", "exec sleep 60"]], tmp_path, ["lib/python3.13/os.py"], 16)
    assert "did not end within 0.2 s" in str(failure.value)
