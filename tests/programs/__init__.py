"""Programs for PyPI's linksocks 1.10, as its users write them, and the test that they run unchanged with ours."""
