"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings

# The same examples each time; and none has Hypothesis's 200 ms: a machine that stops a process for longer, as busy
# ones do, would fail a test.
settings.register_profile("tests", derandomize=True, deadline=None)
settings.load_profile("tests")
