"""The checks of the pages find what they are there for: on pages that are wrong on purpose."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from scheduler.config import Settings

from tests.docs import claims, formats, lessons, links, usage
from tests.docs.examples import Example, says
from tests.docs.pages import Block, Command, Page
from tests.docs.printed import is_as_printed
from tests.docs.terminal import Result, terminal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the pages' commands are for a POSIX shell")
README = "chapters/README.md"


def of_blocks(check: Callable[[Block], Iterator[str]]) -> Callable[[Page], Iterator[str]]:
    return lambda page: (fault for block in page.blocks for fault in check(block))


def languages(block: Block) -> Iterator[str]:
    return formats.faults(block.language, block.text)


def spans(page: Page) -> Iterator[str]:
    return (fault for _, span in page.spans if (fault := usage.fault(span, whole=False)))


def fenced(language: str, text: str) -> str:
    return f"# A page\n\n```{language}\n{text}\n```\n"


WRONG = [
    (
        links.broken_links,
        "See [this](nowhere.md).",
        "chapters/README.md:1: the link to nowhere.md leads nowhere",
    ),
    (
        links.broken_links,
        "See [this](../README.md#no-such-part).",
        "the link to ../README.md#no-such-part leads",
    ),
    (
        links.broken_links,
        "# Here\n\nSee [this](#there).",
        "chapters/README.md:3: the link to #there leads nowhere",
    ),
    (
        links.broken_paths,
        "Read `reference/scheduler/nothing.py`.",
        "there is no reference/scheduler/nothing.py",
    ),
    (
        of_blocks(usage.shell_faults),
        fenced("sh", "frobnicate --now"),
        "chapters/README.md:4: frobnicate --now: it is neither run nor only parsed for a reason",
    ),
    (of_blocks(usage.shell_faults), fenced("sh", "scheduler list --nope"), "No such option: --nope"),
    (of_blocks(usage.shell_faults), fenced("sh", "workbook nope"), "No such command 'nope'"),
    (of_blocks(usage.shell_faults), fenced("sh", "git add )"), "syntax error"),
    (of_blocks(usage.shell_faults), fenced("sh", "git add 'x"), "unexpected EOF"),
    (of_blocks(usage.shell_faults), fenced("sh", "pytest chapters/09_none"), "there is no chapters/09_none"),
    (
        of_blocks(usage.shell_faults),
        fenced("sh", "pytest chapters/01_queue --nope"),
        "pytest has no option --nope",
    ),
    (of_blocks(usage.shell_faults), fenced("sh", "pytest chapters/01_queue -k task_9_"), "has no task 9"),
    (spans, "Call `make nothing`.", "the Makefile has no nothing"),
    (
        of_blocks(usage.shell_faults),
        fenced("sh", "pip install -e '.[nope]'"),
        "pyproject.toml has no extra nope",
    ),
    (of_blocks(usage.shell_faults), fenced("sh", "docker compose up --nope"), "unknown flag: --nope"),
    (
        of_blocks(usage.shell_faults),
        fenced("sh", "docker compose stop apix"),
        "compose.yaml has no service apix",
    ),
    (of_blocks(usage.shell_faults), fenced("sh", "docker rm scheduler-apix-1"), "makes no container"),
    (spans, "Call `scheduler cancel --nope`.", "No such option: --nope"),
    (of_blocks(languages), fenced("fortran", "STOP"), "nobody checks blocks of the language 'fortran'"),
    (of_blocks(languages), fenced("", "what is this"), "nobody checks blocks of the language ''"),
    (of_blocks(languages), fenced("json", "{"), "Expecting property name"),
    (of_blocks(languages), fenced("toml", "a ="), "Invalid value"),
    (of_blocks(languages), fenced("yaml", "a: ["), "expected the node content"),
    (
        of_blocks(languages),
        fenced("proto", "message Job {\n  string colour = 1;\n}"),
        "the API has no colour",
    ),
    (of_blocks(languages), fenced("powershell", "Remove-Item x"), "nobody has looked at 'Remove-Item x'"),
    (of_blocks(languages), fenced("dockerfile", "FROM scheduler:dev\nMOVE x"), "'MOVE x' is no instruction"),
    (
        of_blocks(languages),
        fenced("dockerfile", "FROM other"),
        "it does not begin with the image of compose.yaml",
    ),
    (
        of_blocks(languages),
        fenced("codeowners", "/nothing/*.py  @a/b"),
        "/nothing/*.py is the path of nothing",
    ),
    (of_blocks(languages), fenced("mermaid", "pie"), "'pie' is no kind of drawing"),
    (of_blocks(languages), fenced("mermaid", "flowchart LR\n  a[one --> b"), "is no line of a flowchart"),
    (of_blocks(languages), fenced("mermaid", "flowchart LR\n  subgraph s\n  a --> b"), "never ended"),
    (
        of_blocks(languages),
        fenced("mermaid", "sequenceDiagram\n  participant A\n  A->>B: hello"),
        "nobody has introduced B",
    ),
    (
        of_blocks(languages),
        fenced("mermaid", "sequenceDiagram\n  participant A\n  Note over A: one; two"),
        "a semicolon",
    ),
]


@pytest.mark.parametrize(("check", "text", "sentence"), WRONG, ids=[sentence for *_, sentence in WRONG])
def test_what_is_wrong_is_found_and_said(
    check: Callable[[Page], Iterator[str]], text: str, sentence: str
) -> None:
    (found,) = check(Page(README, text))
    assert sentence in found


def test_code_that_is_only_indented_is_found_and_a_list_is_not() -> None:
    assert Page(README, "Say:\n\n    pytest\n").indented_code == [3]
    assert not Page(README, "- Say:\n\n    more of the list\n").indented_code


def test_an_output_that_differs_is_found_with_its_place(tmp_path: Path) -> None:
    text = fenced("sh", "mkdir -p x\ngit --version") + "\nIt says:\n\n" + "```text\ngit version none\n```\n"
    (found,) = played(Page(README, text), tmp_path)
    assert found.startswith(
        f"{README}:5: git --version: it does not print what stands below it: 'git version none'"
    )


def test_a_command_that_fails_is_found_with_its_place_and_what_it_said(tmp_path: Path) -> None:
    (found,) = played(Page(README, fenced("console", "$ cp nothing there\n$ mkdir y")), tmp_path)
    assert found.startswith(f"{README}:4: cp nothing there: it ended with exit code 1\n")
    assert "No such file" in found


def played(page: Page, folder: Path) -> list[str]:
    """What is said about the commands of a page that needs no services."""
    nowhere = Settings.from_environment(database_url="postgresql://x@127.0.0.1:1/x", redis_host="127.0.0.1")
    with terminal(page, folder, nowhere) as opened:
        results = opened.play(page.blocks[0])
    return [fault for result in results for fault in claims.disagreements(page.name, result)]


def test_a_claim_that_does_not_hold_is_said() -> None:
    command = Command(320, """scheduler call GetJob '{"job_id": "42"}'""")
    (found,) = claims.disagreements(claims.C02, Result(command, 0, "{}"))
    assert "it ended with exit code 0; it does not say 'InvalidArgument'" in found


@pytest.mark.parametrize(
    ("code", "text", "sentence"),
    [
        (
            1,
            "Task 1: name the queue\n    Not written yet: it\n1 passed, 1 failed",
            "everything should be red",
        ),
        (
            0,
            "Task 1: name the queue\n    Not written yet: it",
            "it ended with exit code 0, and should be red",
        ),
        (1, "Task 1: name the queue\n    A mistake", "it does not say 'Not written yet: '"),
    ],
)
def test_a_lesson_whose_tests_are_otherwise_is_found(code: int, text: str, sentence: str) -> None:
    (block,) = Page("chapters/01_queue/README.md", fenced("sh", "pytest chapters/01_queue -k task_1_")).blocks
    (found,) = lessons.disagreements(block, block.commands[0], Result(block.commands[0], code, text))
    assert sentence in found


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("print(1 + 1)  # 3", "it prints '2', not '3'"),
        ("for n in [1, 2]:\n    print(n)\n# 1    the first\n# 3", "it prints ['1', '2'], not ["),
        ("x = 1 / 0", "ZeroDivisionError"),
        ("x = 1\n# x = 2 raises ValueError: it is taken", "`x = 2` does not raise ValueError"),
        ("import sys  # prints: hello", "it does not print so"),
    ],
)
def test_an_example_that_prints_something_else_is_found(code: str, sentence: str, tmp_path: Path) -> None:
    (block,) = Page(README, fenced("python", code)).blocks
    (found,) = Example(block).faults(tmp_path, {})
    assert sentence in found


def test_an_example_that_prints_what_no_sentence_says_is_found(tmp_path: Path) -> None:
    text = fenced("python", "print('on')\nprint('off')") + "\nIt prints *on*, *of*.\n"
    (found,) = Example(Page(README, text).blocks[0]).faults(tmp_path, {})
    assert "it prints ['on', 'off']" in found


def test_a_statement_that_the_database_refuses_is_found(settings: Settings) -> None:
    (found,) = formats.of_sql("SELECT colour FROM tasks", settings)
    assert 'column "colour" does not exist' in found
    assert not list(formats.of_sql("DELETE FROM tasks", settings))


@pytest.mark.parametrize(
    ("on_page", "actual", "same"),
    [
        ("job 11111111-2222-3333-4444-555555555555", "job 123e4567-e89b-12d3-a456-426614174000", True),
        ("0.03 s  noop   queued", "12.5 s  noop  queued", True),
        ("at 2024-05-17T10:00:00Z on localhost:8081", "at 2026-11-24 09:12:33.5+00 on 127.0.0.1:40001", True),
        ("one\n…\nfour", "one\ntwo\nthree\nfour", True),
        ("{'a': …}", "{'a': [1, 2]}", True),
        ("3 jobs", "4 jobs", False),
        ("one", "one\ntwo", False),
        ("(integer) 1", "(integer) 0", False),
    ],
)
def test_only_what_varies_is_forgiven(on_page: str, actual: str, same: bool) -> None:
    assert is_as_printed(on_page, actual) is same


@pytest.mark.parametrize(
    ("comment", "printed", "same"),
    [
        ("5", "5", True),
        ("5", "55", False),
        ("prints None: the seat was taken", "None", True),
        ("1: the one that was kept", "1 task is left", True),
        ("{'type': 'subscribe', …}: it stands", "{'type': 'subscribe', 'data': 1}", True),
        ("[(1977, 'Low'), (1977, 'Heroes')]", "[(1977, 'Low')]", False),
        ("[]", "[1]", False),
    ],
)
def test_a_comment_names_what_is_printed_or_does_not(comment: str, printed: str, same: bool) -> None:
    assert says(comment, printed) is same
