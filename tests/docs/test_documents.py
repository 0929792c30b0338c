"""The pages are true: their commands do what they say, their examples run, their links lead somewhere."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import pytest
from scheduler.app import App
from scheduler.config import Settings
from scheduler.job_queue import encode_entry
from scheduler.jobs import NewJob, Priority

from tests.docs import claims, examples, formats, lessons, links, usage
from tests.docs.kinds import Kind, kind_of
from tests.docs.pages import SHELLS, Block, Page, page, pages
from tests.docs.terminal import Terminal, copy_of_the_book, for_tests_of, reader_s, terminal
from tests.end_to_end.commands import clean_environment
from workbook.sandbox import Servers

PAGES = pages()
BLOCKS = [block for one in PAGES for block in one.blocks]
PLAYED = (Kind.LIVE, Kind.SERVER)
"""Commands that are played in a terminal, page by page."""

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="the pages' commands are for a POSIX shell"),
]


def each(blocks: list[Block]) -> pytest.MarkDecorator:
    """A test for each block, named after its place."""
    return pytest.mark.parametrize("block", [pytest.param(block, id=block.place) for block in blocks])


def of_kind(*kinds: Kind) -> list[Block]:
    shells = [block for block in BLOCKS if block.language in SHELLS]
    return [block for block in shells if any(kind_of(command.text) in kinds for command in block.commands)]


def none(faults: Iterator[str], place: str = "") -> None:
    found = list(faults)
    assert not found, "\n".join(f"{place}: {fault}" if place else fault for fault in found)


# --- every page, every block


@pytest.mark.parametrize("one", [pytest.param(one, id=one.name) for one in PAGES])
def test_links_anchors_and_paths_lead_to_something(one: Page) -> None:
    none(links.broken_links(one))
    none(links.broken_paths(one))


@pytest.mark.parametrize("one", [pytest.param(one, id=one.name) for one in PAGES])
def test_code_within_sentences_is_written_as_it_could_be_run(one: Page) -> None:
    for number, span in one.spans:
        fault = usage.fault(span, whole=False)
        assert fault is None, f"{one.name}:{number}: {span}: {fault}"


@pytest.mark.parametrize("one", [pytest.param(one, id=one.name) for one in PAGES])
def test_every_block_has_a_fence_with_a_language(one: Page) -> None:
    assert not one.indented_code, f"{one.name}: code that is only indented, in lines {one.indented_code}"


@each(BLOCKS)
def test_a_block_is_right_in_its_language(block: Block) -> None:
    none(formats.faults(block.language, block.text), block.place)


# --- commands


@each([block for block in BLOCKS if block.language in SHELLS])
def test_a_command_is_one_that_is_run_or_parsed_only_for_a_reason(block: Block) -> None:
    none(usage.shell_faults(block))


LESSON = "test_a_lesson_s_tests_are_as_the_lesson_says"


@pytest.fixture(scope="module")
def tests_of_lessons(
    request: pytest.FixtureRequest, backends: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[lessons.Runs]:
    """Begins with all that this process will ask for, unless other processes share the work."""
    copy = copy_of_the_book(tmp_path_factory.mktemp("lessons"))
    runs = lessons.Runs(copy, for_tests_of(copy, backends.services))
    if not hasattr(request.config, "workerinput"):
        for item in request.session.items:
            if isinstance(item, pytest.Function) and item.originalname == LESSON:
                block = item.callspec.params["block"]
                assert isinstance(block, Block)
                for text in lessons.wanted(block):
                    runs.begin(text)
    yield runs
    runs.close()


@pytest.fixture(scope="module")
def played(
    request: pytest.FixtureRequest,
    backends: Servers,
    tests_of_lessons: lessons.Runs,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Terminal]:
    """The terminal of a page. The next page closes it."""
    with (
        backends.sandbox() as settings,
        terminal(page(request.param), tmp_path_factory.mktemp("reader"), settings) as opened,
    ):
        yield opened


@pytest.mark.parametrize(
    ("played", "block"),
    [pytest.param(block.page, block, id=block.place) for block in of_kind(*PLAYED)],
    indirect=["played"],
    scope="module",
)
def test_commands_do_what_their_page_says(played: Terminal, block: Block) -> None:
    needed = {command.text.split()[0] for command in block.commands if kind_of(command.text) in PLAYED}
    for program in needed & {"curl", "git", "grpcurl", "jupyter"}:
        if shutil.which(program, path=played.path) is None:
            pytest.skip(f"there is no {program} here")
    for result in played.play(block):
        none(claims.disagreements(block.page, result))


def test_a_handler_that_the_readme_shows_runs(backends: Servers, tmp_path: Path) -> None:
    with (
        backends.sandbox() as settings,
        terminal(page("README.md"), tmp_path, settings) as opened,
    ):
        (block,) = [block for block in opened.page.blocks if "@handler(" in block.text]
        (opened.book / "shop.py").write_text(block.text, "utf-8")
        window = opened.serve("scheduler up --handlers shop")
        done = opened.run("""scheduler submit send_welcome_mail --payload '{"to": "Ada"}' --watch""")
        assert "succeeded" in done.text
        window.until("welcome, Ada")


@pytest.mark.parametrize("claim", claims.CLAIMS, ids=lambda claim: f"{claim.page}:{claim.command}")
def test_a_claim_is_about_a_command_that_is_there(claim: claims.Claim) -> None:
    commands = [command for block in page(claim.page).blocks for command in block.commands]
    assert any(claim.is_about(claim.page, command.text) for command in commands), "the page has changed"


# --- examples

PYTHON = [block for block in BLOCKS if block.language == "python"]
WHOLE = [block for block in PYTHON if not examples.Example(block).unknown_names]


@each(WHOLE)
def test_an_example_runs_and_prints_what_its_comments_say(block: Block, tmp_path: Path) -> None:
    environment = reader_s(clean_environment(WORKBOOK_NOTEBOOK_QUICK="1"), tmp_path / "book")
    none(examples.Example(block).faults(tmp_path, environment), block.place)


@each([block for block in PYTHON if block not in WHOLE])
async def test_a_part_of_an_example_runs_within_an_app(block: Block, app: App) -> None:
    names: dict[str, Any] = {"app": app, "context": Context()}
    assert examples.Example(block).unknown_names <= set(names), (
        f"{block.place}: it uses names that nobody defines"
    )
    await examples.run_part(block, names)
    if "number" in names:
        assert names["number"] == 0, "there is no job of type noop"


class Context:
    """A call that notes how it was ended."""

    async def abort(self, code: grpc.StatusCode, details: str, metadata: Any) -> None:
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert details.startswith("job_id must be ")


def test_the_entry_that_the_lesson_shows_is_what_the_reference_writes() -> None:
    (block,) = [block for block in BLOCKS if block.language == "json" and "task_id" in block.text]
    shown = json.loads(block.text)
    job = NewJob(task_id=UUID(shown["task_id"]), type=shown["type"], priority=Priority(shown["priority"]))
    assert encode_entry(job) == block.text.encode()


def test_the_database_accepts_the_statements_that_are_shown(settings: Settings) -> None:
    for block in BLOCKS:
        if block.language == "sql":
            none(formats.of_sql(block.text, settings), block.place)


# --- the tests of lessons, which began long ago


def test_a_sample_of_them_is_run_as_it_stands() -> None:
    wanted = {text for block in of_kind(Kind.TESTS) for text in lessons.wanted(block)}
    assert wanted >= set(lessons.SAMPLE), "the pages have changed"


@each(of_kind(Kind.TESTS))
def test_a_lesson_s_tests_are_as_the_lesson_says(block: Block, tests_of_lessons: lessons.Runs) -> None:
    for command in lessons.read(block):
        none(lessons.misread(command))
    for text, command in lessons.wanted(block).items():
        result = tests_of_lessons.begin(text).result()
        none(lessons.disagreements(block, command, result))
