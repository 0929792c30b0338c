"""What `workbook serve` is made of: finished pieces, and whatever has to be tested for that."""

import os
import signal
from unittest import mock

import pytest
from scheduler.app import open_app
from scheduler.config import Settings
from scheduler.parts import reference

from tests.end_to_end.commands import environment_of
from tests.helpers import submit, until
from tests.patience import until_sync
from tests.workbook.books import Book, fresh_workbook, write
from tests.workbook.terminal import Terminal
from workbook import worker_process

QUEUE_NAME = "return f'q:{Priority(priority)}'"
STUB = 'raise NotImplementedError("01_queue task 1: name the queue of a priority")'


def test_chapters_that_were_caught_up_come_from_the_reference_and_it_says_so(book: Book) -> None:
    book.add_real("01_queue")
    book.add_real("02_getjob")
    book.workbook("catch-up", "2")
    with fresh_workbook(book):
        from workbook import mine

        lines = mine.table([])
    assert lines == ["  01_queue     the reference (caught up)", "  02_getjob    the reference"]


def test_only_chapters_in_which_something_is_written_are_tested(book: Book) -> None:
    folder = book.add_real("01_queue")
    book.add_real("02_getjob")
    with fresh_workbook(book), mock.patch("subprocess.run") as run:
        from workbook import mine

        assert mine.finished() == []
        assert not run.called
        write(folder / "job_queue.py", (STUB, "return f'q:{Priority(priority)}'"))
        mine.finished()
        [command] = [call.args[0] for call in run.call_args_list]
        assert [part for part in command if "chapters" in part] == [str(folder)]


def test_a_chapter_whose_results_are_known_is_not_tested_again(book: Book) -> None:
    folder = book.add_real("01_queue")
    write(folder / "job_queue.py", (STUB, "return f'q:{Priority(priority)}'"))
    with fresh_workbook(book), mock.patch("subprocess.run") as run:
        from workbook import book as fresh
        from workbook import mine, progress
        from workbook.depends import Contents

        chapter = fresh.chapters()[0]
        files = ["chapters/01_queue/job_queue.py"]
        record = progress.ChapterRecord(
            tests={
                f"test_task_{task.number}_it": progress.Test(
                    task.number, task.number < 3, Contents().digest(chapter, files), files
                )
                for task in chapter.tasks
            },
            all={f"test_task_{task.number}_it": task.number for task in chapter.tasks},
            all_digest=progress.tests_digest(chapter),
        )
        progress.update(lambda known: known.chapters.update({chapter.name: record}))
        assert [piece.field for piece in mine.finished()] == ["queue_name", "encode_entry"]
        assert not run.called


def test_only_tasks_of_which_nothing_is_known_are_tested(book: Book) -> None:
    folder = book.add_real("01_queue")
    write(folder / "job_queue.py", (STUB, QUEUE_NAME))
    assert "1 of 1 tasks green" in book.pytest("chapters/01_queue", "-k", "task_1_").stdout
    with fresh_workbook(book), mock.patch("subprocess.run") as run:
        from workbook import mine

        assert [piece.field for piece in mine.finished()] == ["queue_name"]
        assert not run.called
        encode = 'raise NotImplementedError("01_queue task 2: encode an entry")'
        write(folder / "job_queue.py", (encode, "return b''"))
        mine.finished()
        [command] = [call.args[0] for call in run.call_args_list]
        assert command[command.index("-k") + 1] == "(01_queue and (task_1_ or task_2_))"


def test_what_is_written_and_red_is_listed_as_yours_and_not_tested_again(book: Book) -> None:
    folder = book.add_real("01_queue")
    encode = 'raise NotImplementedError("01_queue task 2: encode an entry")'
    write(folder / "job_queue.py", (STUB, QUEUE_NAME), (encode, "return b''"))
    book.pytest("chapters/01_queue", "-k", "task_1_ or task_2_")
    with fresh_workbook(book), mock.patch("subprocess.run") as run:
        from workbook import mine

        own = mine.finished()
        assert not run.called
        assert mine.table(own, unfinished=mine.unfinished(own)) == [
            "  01_queue     yours: queue_name; yours, but not green: encode_entry; the rest: the reference"
        ]


def test_a_chapter_whose_tests_can_not_be_read_is_named_and_the_others_count(book: Book) -> None:
    folder, other = book.add_real("01_queue"), book.add_real("02_getjob")
    write(folder / "job_queue.py", (STUB, QUEUE_NAME))
    stub = 'raise NotImplementedError("02_getjob task 1: turn a status into the API\'s number")'
    write(other / "get_job.py", (stub, "return pb.JobState.Value(f'JOB_STATE_{status.upper()}')"))
    (folder / "test_queue.py").write_text("import nothing_of_this_name", "utf-8")
    untestable: list[str] = []
    tested: list[str] = []
    with fresh_workbook(book):
        from workbook import mine

        own = mine.finished(
            lambda chapter: untestable.append(chapter.name),
            lambda chapters: tested.extend(chapter.name for chapter in chapters),
        )
        assert [piece.chapter.name for piece in mine.unfinished(own)][:1] == ["01_queue"]
    assert (untestable, tested) == (["01_queue"], ["01_queue", "02_getjob"])


async def test_a_worker_that_is_killed_is_said_and_not_started_again(
    capsys: pytest.CaptureFixture[str], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment_of(settings, LEASE_SECONDS="1", HEARTBEAT_SECONDS="0.2").items():
        monkeypatch.setenv(name, value)
    said: list[str] = []

    def says(*words: str) -> bool:
        said.append(capsys.readouterr().out)
        return all(word in "".join(said) for word in words)

    async with open_app(settings, reference()) as app, worker_process.running([], [0, 0]):
        await until(lambda: says("ready, metrics on port"), "a worker is ready")
        task_id = await submit(app, type="sleep", payload_json='{"seconds": 600}')
        await until(
            lambda: says(f"took sleep {str(task_id)[:8]}, attempt 1 of 3"), "one of them has taken it"
        )
        first = next(line for line in "".join(said).splitlines() if f"took sleep {str(task_id)[:8]}" in line)
        os.kill(int(first.split()[0]), signal.SIGKILL)
        await until(lambda: says("was killed (signal 9), and no other is started"), "its end is said")
        await until(lambda: says("had run out", f"{str(task_id)[:8]}, attempt 2 of 3"), "the other has it")
    second = next(line for line in "".join(said).splitlines() if "attempt 2 of 3" in line)
    assert second.split()[0] != first.split()[0]
    assert "".join(said).count("starts. To see") == 2
    for line in (first, second):
        with pytest.raises(ProcessLookupError):
            os.kill(int(line.split()[0]), 0)


def test_ctrl_c_ends_all_workers(book: Book, settings: Settings) -> None:
    book.add_real("01_queue")
    book.env |= environment_of(settings)
    with Terminal(book, "serve", "--workers", "2") as terminal:
        until_sync(
            lambda: terminal.said.count("ready, metrics") == 2 or terminal.until("\n") is None, "both work"
        )
        assert "Serving on localhost:" in terminal.said
        workers = terminal.descendants()
        terminal.press("\x03")
        assert terminal.wait() == 0
    assert "Stopped." in terminal.said
    assert "Traceback" not in terminal.said
    assert "by itself" not in terminal.said
    assert len(workers) == 2
    for worker in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)
