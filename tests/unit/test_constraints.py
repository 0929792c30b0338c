"""The pinned versions install on the oldest Python that the project allows, not just on ours."""

from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
PINS = [Requirement(line) for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()]
OLDEST = "3.11.0"


def installed(pin: Requirement) -> metadata.Distribution | None:
    try:
        return metadata.distribution(pin.name)
    except metadata.PackageNotFoundError:
        return None  # for another platform


def test_every_pin_is_for_the_oldest_python_too() -> None:
    """One that is not makes an older pip search among other versions, for longer than anybody waits."""
    for pin in PINS:
        package = installed(pin)
        if package is not None:
            allowed = SpecifierSet(package.metadata.get("Requires-Python") or "")
            assert OLDEST in allowed, f"{pin} needs Python {allowed}: pin an older version"
            assert package.version in pin.specifier, f"{package.version} is installed, but {pin} is pinned"


def test_everything_that_the_tests_install_is_pinned() -> None:
    pinned = {pin.name.lower().replace("_", "-") for pin in PINS}
    wanted = [Requirement(text) for text in metadata.requires("scheduler-workbook") or ()]
    assert {one.name.lower().replace("_", "-") for one in wanted if installed(one)} <= pinned
