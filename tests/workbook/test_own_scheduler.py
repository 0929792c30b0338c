"""`pytest tests/end_to_end --implementation chapters`: the final tests of a scheduler of one's own pieces."""

import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.patience import SECONDS
from tests.workbook.books import REPOSITORY, Book, write
from workbook.sandbox import Servers

QUEUE_NAME = 'raise NotImplementedError("01_queue task 1: name the queue of a priority")'
SUBMIT_JOB = 'raise NotImplementedError("01_queue task 5: insert the job, push it, and return its id")'


@pytest.fixture
def own(book: Book, backends: Servers) -> Path:
    """A book in which the first task is written, with this run's servers. Returns its chapter."""
    services = backends.services
    password = f":{services.redis_password}@" if services.redis_password else ""
    book.env["TEST_DATABASE_URL"] = services.database_url
    book.env["TEST_REDIS_URL"] = f"redis://{password}{services.redis_host}:{services.redis_port}"
    folder = book.add_real("01_queue")
    write(folder / "job_queue.py", (QUEUE_NAME, 'return f"q:{Priority(priority)}"'))
    return folder


def final_tests(book: Book, test: str) -> str:
    """What the tests of this name print, with the book's chapters in the place of the reference."""
    tests = REPOSITORY / "tests" / "end_to_end" / "test_whole.py"
    arguments = ("--implementation", str(book.root / "chapters"), "-k", test, "-p", "no:cacheprovider")
    done = book.python("-m", "pytest", str(tests), "-rs", *arguments, cwd=REPOSITORY)
    return done.stdout + done.stderr


def test_they_run_what_is_written_and_say_whose_each_piece_is(book: Book, own: Path) -> None:
    out = final_tests(book, "metrics_have_a_page")
    assert "01_queue     yours: queue_name; the rest: the reference" in out
    assert "1 passed" in out
    write(own / "submit_job.py", (SUBMIT_JOB, 'raise RuntimeError("broken")'))
    assert "1 failed" in final_tests(book, "metrics_have_a_page")


def test_what_asks_for_a_stretch_task_is_skipped_until_that_is_green(book: Book, own: Path) -> None:
    write(own / "submit_job.py", (SUBMIT_JOB, "return new.task_id"))
    out = final_tests(book, "one_key")
    assert "1 skipped" in out
    assert "asks for 01_queue task 6, push a repeat only while its job is queued, which is not green" in out


def test_a_piece_that_python_can_not_read_is_named(book: Book, own: Path) -> None:
    write(own / "job_queue.py", ("return f", "return return f"))
    assert "job_queue.py, line" in final_tests(book, "most_urgent")


def test_all_of_them_can_be_read_where_the_book_alone_is_installed() -> None:
    """Without the extras, as after `pip install -e .`: what is not the learner's to install is no error."""
    hidden = sorted(_of_extras())
    assert {"pytest_timeout", "xdist", "psutil", "matplotlib"} <= set(hidden)
    arguments = ["tests/end_to_end", "--implementation", "chapters", "--collect-only", "-q"]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, ",".join(hidden), *arguments, "-p", "no:cacheprovider"],
        cwd=REPOSITORY,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


WITHOUT = """
import os, sys

hidden = sys.argv.pop(1).split(",")


class Hidden:
    def find_spec(self, name, *_):
        if name in hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Hidden())
import pytest

sys.exit(pytest.main([*sys.argv[1:], "-pno:timeout", "-pno:xdist", "-pno:xdist.looponfail"]))
"""


def _of_extras() -> set[str]:
    """The modules of packages that only the extras bring."""
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"][
        "optional-dependencies"
    ]
    names = {Requirement(text).name.lower() for texts in extras.values() for text in texts}
    return {
        module
        for module, packages in metadata.packages_distributions().items()
        if {package.lower() for package in packages} <= names
    }
