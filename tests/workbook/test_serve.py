"""What `workbook serve` is made of: finished pieces, and whatever has to be tested for that."""

from unittest import mock

from tests.workbook.books import DOUBLE, HALVE, Book, fresh_workbook, write

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


def test_a_chapter_whose_tests_can_not_be_read_is_named_and_the_others_count(book: Book) -> None:
    book.add_small("01_small")
    book.add_small("02_other")
    for name in ("01_small", "02_other"):
        double, halve = ((old.replace("01_small", name), new) for old, new in (DOUBLE, HALVE))
        write(book.root / "chapters" / name / "numbers.py", double, halve)
    (book.root / "chapters" / "01_small" / "test_small.py").write_text("import nothing_of_this_name", "utf-8")
    named: list[str] = []
    with fresh_workbook(book):
        from workbook import book as fresh
        from workbook import mine

        states = mine._tested(list(fresh.chapters()))
        mine.finished(lambda chapter: named.append(chapter.name))
    assert states == {"02_other": {1: True, 2: True, 3: False}}
    assert named == ["01_small"]
