"""Every text that is read or written says in which encoding: the locale's may lack a letter, or mean another by it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("reference/scheduler", "workbook", "benchmarks", "deploy", "tests")
WRONG_ON_PURPOSE = tuple(ROOT / "tests" / "chapters" / kind for kind in ("steps", "mistakes", "alternatives"))

# How many arguments come before the encoding.
FILES = {"read_text": 0, "write_text": 1}
PROCESSES = {"run", "Popen", "check_output"}


def files() -> list[Path]:
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    return [path for path in found if not any(one in path.parents for one in WRONG_ON_PURPOSE)]


def unnamed(text: str) -> Iterator[str]:
    """The calls that leave the encoding to the locale, with their lines."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and _leaves_it_open(node):
            yield f"{node.lineno}: {ast.unparse(node)}"


def _leaves_it_open(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    named = {keyword.arg for keyword in call.keywords}
    if "encoding" in named or None in named:
        return False
    if name in FILES:
        return len(call.args) <= FILES[name]
    if name in PROCESSES:
        is_true = [word.value for word in call.keywords if word.arg in ("text", "universal_newlines")]
        return any(isinstance(value, ast.Constant) and value.value is True for value in is_true)
    if name == "TextIOWrapper":
        return True
    if name == "open" and _is_of_files(call):
        words = [*call.args, *(word.value for word in call.keywords if word.arg == "mode")]
        modes = [word.value for word in words if isinstance(word, ast.Constant)]
        return not any(isinstance(mode, str) and "b" in mode and len(mode) <= 3 for mode in modes)
    return False


def _is_of_files(call: ast.Call) -> bool:
    """Not os.open, and not the `open` of something that is no file: that one takes no mode."""
    if isinstance(call.func, ast.Name):
        return True
    is_os = isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) in ("os", "tarfile")
    modes = [word for word in call.args if isinstance(word, ast.Constant) and word.value in set("rwax")]
    return not is_os and bool(modes)


def test_no_file_leaves_an_encoding_to_the_locale() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{call}" for path in files() for call in unnamed(path.read_text("utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "path.read_text()",
        "path.write_text(text)",
        "open(path)",
        "path.open('w')",
        "subprocess.run(command, text=True)",
        "subprocess.Popen(command, universal_newlines=True)",
        "io.TextIOWrapper(raw)",
    ],
)
def test_a_call_without_one_is_found(line: str) -> None:
    assert list(unnamed(line)) == [f"1: {line}"]


@pytest.mark.parametrize(
    "line",
    [
        "path.read_text('utf-8')",
        "path.write_text(text, encoding='ascii')",
        "path.open('rb')",
        "open(path, mode='wb')",
        "pool.open()",
        "os.open(path, flags)",
        "subprocess.run(command)",
        "subprocess.run(command, encoding='utf-8')",
    ],
)
def test_a_call_that_needs_none_is_not(line: str) -> None:
    assert list(unnamed(line)) == []
