"""The INI file's dialect, and the line numbers that errors name."""

from linksocks.config.ini import read


def entries(text: str) -> list[tuple[str, str, str, int]]:
    found = read(text.splitlines())
    assert found.wrong == []
    sections = dict(found.sections)
    return [(sections.get(e.header, ""), e.key, e.value, e.line) for e in found.entries]


def test_sections_keys_and_lines() -> None:
    text = "# comment\n[server]\nws_port = 1\n\n; comment\nurl: ws://h:1/?a=b\n[client]\nx=\n"
    assert entries(text) == [
        ("server", "ws_port", "1", 3),
        ("server", "url", "ws://h:1/?a=b", 6),
        ("client", "x", "", 8),
    ]


def test_a_value_is_taken_as_it_stands() -> None:
    assert entries("[a]\nk = a # b ; c %(d)s '\"  ") == [("a", "k", "a # b ; c %(d)s '\"", 2)]


def test_a_line_that_is_indented_deeper_goes_on() -> None:
    assert entries("[a]\n  k = 1\n    2\n    # no\n    3\n  l = 4") == [
        ("a", "k", "1\n2\n3", 2),
        ("a", "l", "4", 6),
    ]


def test_an_entry_above_all_sections_has_none() -> None:
    assert entries("k = v") == [("", "k", "v", 1)]


def test_lines_that_are_neither_are_named_without_their_text() -> None:
    found = read(["[open", "what is this", "= no key", "[a]", "k = v"])
    assert [entry.key for entry in found.entries] == ["k"]
    assert [line for line, _ in found.wrong] == [1, 2, 3]
    assert not any("what" in reason for _, reason in found.wrong)


def test_headers_are_told_with_their_lines_also_twice_and_empty() -> None:
    assert read(["[a]", "k = v", "[ b ]", "[a]"]).sections == [(1, "a"), (3, "b"), (4, "a")]
