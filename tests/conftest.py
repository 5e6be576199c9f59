"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings

# None of Hypothesis's own 200 ms for an example: a machine that stops this process for longer would fail a test.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")
