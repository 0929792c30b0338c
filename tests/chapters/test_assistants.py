"""What editors' assistants read about `chapters/`: it is there, holds for the chapters alone, and says the rule."""

import re
from pathlib import Path

import pytest

from workbook.book import CHAPTERS, ROOT

SOURCE = CHAPTERS / "AGENTS.md"
CLAUDE = CHAPTERS / "CLAUDE.md"
CURSOR = ROOT / ".cursor" / "rules" / "chapters.mdc"
COPILOT = ROOT / ".github" / "instructions" / "chapters.instructions.md"
ALL = [SOURCE, CLAUDE, CURSOR, COPILOT]

RULE = ["explain", "ask", "lesson", "failing test", "next hint", "no solution", "no skeleton", "in words"]
WORDS = ["*hint*", "*simpler*", "*example elsewhere*"]

each_page = pytest.mark.parametrize("page", ALL, ids=lambda page: page.relative_to(ROOT).as_posix())


@each_page
def test_a_page_for_assistants_says_the_rule(page: Path) -> None:
    text = _plain(page)
    missing = [part for part in RULE if part not in text.lower()]
    assert not missing, f"{page.name} does not say: {', '.join(missing)}"
    assert re.search(r"not quote the reference", text), "the answers stand in the reference"


@each_page
def test_a_page_for_assistants_offers_the_learner_words(page: Path) -> None:
    assert not [word for word in WORDS if word not in _plain(page)]


def test_claude_and_agents_stand_in_the_folder_that_they_speak_about() -> None:
    for page in (SOURCE, CLAUDE):
        assert page.parent == CHAPTERS
        assert "below `chapters/`" in _plain(page)


def test_the_cursor_rule_is_scoped_to_the_chapters() -> None:
    front = _front_matter(CURSOR)
    assert front["globs"] == "chapters/**"
    assert front["alwaysApply"] == "false"


def test_the_copilot_instructions_are_scoped_to_the_chapters() -> None:
    assert _front_matter(COPILOT)["applyTo"].strip('"') == "chapters/**"


def test_every_other_page_points_to_the_one_that_has_the_rules() -> None:
    assert "@AGENTS.md" in CLAUDE.read_text("utf-8")
    assert "@chapters/AGENTS.md" in CURSOR.read_text("utf-8")
    target = re.search(r"\]\(([^)]+AGENTS\.md)\)", COPILOT.read_text("utf-8"))
    assert target
    assert (COPILOT.parent / target[1]).resolve() == SOURCE.resolve()


def test_who_works_on_the_rest_of_the_repository_is_not_bound() -> None:
    for name in ("AGENTS.md", "CLAUDE.md", ".cursorrules", ".github/copilot-instructions.md"):
        page = ROOT / name
        assert not page.exists() or "Write no solution" not in page.read_text("utf-8")


def test_the_learner_is_told_the_same() -> None:
    text = _plain(CHAPTERS / "README.md")
    assert "you write the code" in text
    assert "(AGENTS.md)" in text
    assert not [word for word in WORDS if word not in text]


def _plain(page: Path) -> str:
    """The text on one line, without the marks for bold."""
    return " ".join(page.read_text("utf-8").replace("**", "").split())


def _front_matter(page: Path) -> dict[str, str]:
    _, front, _ = page.read_text("utf-8").split("---\n", 2)
    pairs = (line.partition(":") for line in front.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
