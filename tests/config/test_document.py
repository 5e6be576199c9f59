"""What is made from the table of settings is as new as the table, and what it says is right."""

from pathlib import Path

import pytest

from linksocks.config import resolve_all
from linksocks.config.document import EXAMPLES, keys_of, linksocks_ini, settings_rst
from linksocks.config.setting import Setting
from linksocks.config.settings import SECTIONS, SETTINGS, Section

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("file", "text"), [("docs/settings.rst", settings_rst()), ("conf/linksocks.ini", linksocks_ini())]
)
def test_it_is_up_to_date(file: str, text: str) -> None:
    assert (ROOT / file).read_text("utf-8") == text, "run scripts/docs"


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_is_there(setting: Setting) -> None:
    assert f"``{setting.name}``\n" in settings_rst()


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.name)
def test_every_key_stands_in_its_section_commented_out(section: Section) -> None:
    name = section.name
    body = linksocks_ini().rpartition(f"#[{name}")[2].partition("# -----")[0]
    keys = [setting.name.replace("-", "_") for setting in keys_of(name)]
    assert [line.split(" = ")[0][1:] for line in body.split("\n") if " = " in line and line[1] != " "] == keys


def test_nothing_in_the_sample_is_in_force() -> None:
    assert [line for line in linksocks_ini().split("\n") if line and not line.startswith("#")] == []


@pytest.mark.parametrize("title", EXAMPLES)
def test_every_example_runs_once_it_has_its_tokens(title: str, tmp_path: Path) -> None:
    for name in ("alice", "office", "visitor", "lab", "guests"):
        (tmp_path / f"{name}.token").write_text(name)
    file = tmp_path / "example.ini"
    file.write_text(EXAMPLES[title].replace("/etc/linksocks/", ""))
    settings = resolve_all("run", {"config": str(file)}, {})
    assert len(settings.roles) == EXAMPLES[title].count("[") - EXAMPLES[title].count("[token:")
    assert f"#{EXAMPLES[title].splitlines()[0]}\n" in linksocks_ini()
