"""docs/settings.md says what the code does."""

import re
from pathlib import Path

import pytest
from scheduler.config import Settings

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
ROWS = dict(re.findall(r"^\| `(\w+)` \|([^|]*)\|", PAGE.read_text("utf-8"), re.MULTILINE))
OUTSIDE = {"SCHEDULER_DATA", "SCHEDULER_ADDRESS", "HANDLERS", "LOG_LEVEL", "LOG_FORMAT"}


def test_every_setting_is_on_the_page_and_nothing_else_is() -> None:
    assert set(ROWS) - OUTSIDE == {name.upper() for name in Settings.model_fields}


@pytest.mark.parametrize("name", sorted(set(ROWS) - OUTSIDE))
def test_the_default_on_the_page_is_the_code_s(name: str) -> None:
    default = Settings.model_fields[name.lower()].default
    on_page = ROWS[name].strip()
    if name == "METRICS_PORT":
        pytest.skip("its default depends on the role; test_cli looks at it")
    wanted = "" if default is None else str(default).lower() if isinstance(default, bool) else f"{default}"
    assert on_page == wanted
