"""Measures linksocks beside its peers on loopback: `scripts/bench`, see README.rst here.

Nothing in this package is part of the product, and nothing but `contenders` knows what is measured.
"""
