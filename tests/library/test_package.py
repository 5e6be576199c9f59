"""What `import linksocks` gives, and what it does not cost."""

from __future__ import annotations

import importlib.resources
import inspect

import pytest

import linksocks
from linksocks import LinkDown, LinkUp, PartnersChanged, errors
from tests.support.programs import outcome


def test_dir_and_star_are_what_is_public() -> None:
    assert dir(linksocks) == sorted(linksocks.__all__)
    names: dict[str, object] = {}
    exec("from linksocks import *", names)
    assert set(names) - {"__builtins__"} == set(linksocks.__all__)


def test_every_public_name_is_there_and_comes_from_where_it_lives() -> None:
    rooms = {name: f"linksocks.{room}" for name, room in linksocks._ROOMS.items() if name != "Event"}
    for name in set(linksocks.__all__) - {"Event", "__version__"}:
        assert getattr(linksocks, name).__module__ == rooms.get(name, "linksocks.errors")
    assert linksocks.Event == LinkUp | LinkDown | PartnersChanged


def test_all_errors_of_the_tree_are_public() -> None:
    tree = {
        name
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.LinkSocksError)
    }
    assert tree <= set(linksocks.__all__)


def test_other_names_are_none() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Sever'"):
        linksocks.Sever  # noqa: B018


def test_it_costs_no_gevent_until_it_is_used() -> None:
    program = "import sys, linksocks; print(there := 'gevent' in sys.modules)"
    assert outcome(program) == ["False"]
    assert outcome(program.replace("; print", "; linksocks.Server; print")) == ["True"]


def test_a_program_without_logging_hears_nothing() -> None:
    program = "import logging, linksocks; logging.getLogger('linksocks.server').warning('a stranger')"
    assert outcome(program) == []


def test_types_are_shipped() -> None:
    assert importlib.resources.files("linksocks").joinpath("py.typed").is_file()
