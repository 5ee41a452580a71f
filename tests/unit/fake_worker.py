"""Buildbot's own helpers for step tests. In one place: they are experimental, and importing them changes a setting."""

from __future__ import annotations

import warnings

# buildbot.test turns all warnings into errors, for every test that runs after it.
with warnings.catch_warnings():
    from buildbot.test.reactor import TestReactorMixin
    from buildbot.test.steps import ExpectRemoteRef, ExpectRmdir, ExpectShell, ExpectUploadFile, TestBuildStepMixin

__all__ = [
    "ExpectRemoteRef", "ExpectRmdir", "ExpectShell", "ExpectUploadFile", "TestBuildStepMixin", "TestReactorMixin",
]  # fmt: skip
