"""`workbook watch`, on a terminal and without one."""

import ctypes
import signal
import subprocess
import sys
from pathlib import Path
from queue import SimpleQueue

import pytest
from watchfiles import Change

from tests.patience import SECONDS, end, until_sync
from tests.workbook.books import DOUBLE, HALVE, Book, write
from tests.workbook.terminal import Terminal
from workbook.saves import is_of_a_chapter, signals

KEYS = "h hint · n next · a all · s system · q quit"
SLOW = "open('started', 'w').close()\n    import time\n    time.sleep(60)"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pty")


def test_a_save_reruns_keys_work_and_q_quits(book: Book, small: Path) -> None:
    book.add_small("02_other")
    with Terminal(book, "watch") as terminal:
        assert "✗ Task 1: double a number" in terminal.until(KEYS)
        write(small, DOUBLE)
        after = terminal.until(KEYS)
        assert "numbers.py saved" in after
        assert "✗ Task 2: halve a number" in after
        assert "01 small  █x ░  core 1 of 2 · stretch 0 of 1" in after
        terminal.press("h")
        assert "Hint 1 of 3: a question" in terminal.until("2 hints are left: press h")
        terminal.press("\x1b[Ax")  # an arrow and a letter that mean nothing
        write(small, HALVE)
        after = terminal.until(KEYS)
        assert "Next:  02 task 1: double a number · 5 min" in after
        assert "Run:   press n\n" in after
        terminal.press("a")
        assert "✗ Task 3: halve without a rest" in terminal.until(KEYS)
        terminal.press("q")
        assert terminal.wait() == 0
        assert terminal.is_as_found()


def test_n_goes_on_to_the_next_chapter(book: Book, small: Path) -> None:
    book.add_small("02_other")
    write(small, DOUBLE, HALVE)
    with Terminal(book, "watch", "1") as terminal:
        terminal.until(KEYS)
        terminal.press("n")
        assert "02_other · on to what is next" in terminal.until(KEYS)


def test_s_says_in_one_sentence_that_nothing_runs(book: Book, small: Path) -> None:
    book.env["SCHEDULER_DATA"] = str(book.root / "no-data")
    with Terminal(book, "watch") as terminal:
        terminal.until(KEYS)
        terminal.press("s")
        assert "Error: " in terminal.until("no services are running here")
        terminal.press("q")
        assert terminal.wait() == 0


def test_a_save_during_a_run_ends_it_and_begins_anew(book: Book, small: Path) -> None:
    write(small, (DOUBLE[0], SLOW))
    with Terminal(book, "watch") as terminal:
        until_sync((book.root / "started").exists, "the slow test began")
        write(small, (SLOW, DOUBLE[1]))
        after = terminal.until(KEYS)
        assert "✗ Task 2: halve a number" in after
        assert "KeyboardInterrupt" not in terminal.said
        assert not terminal.descendants()


@pytest.mark.parametrize("how", ["Ctrl-C", "the terminal closes", "kill -9"])
def test_nothing_is_left_when_it_ends_in_mid_run(book: Book, small: Path, how: str) -> None:
    write(small, (DOUBLE[0], SLOW))
    with Terminal(book, "watch") as terminal:
        until_sync((book.root / "started").exists, "the slow test began")
        running = terminal.descendants()
        assert running
        match how:
            case "Ctrl-C":
                terminal.press("\x03")
                assert terminal.wait() == 130
                assert terminal.is_as_found()
                assert "Traceback" not in terminal.said
            case "the terminal closes":
                terminal.process.send_signal(signal.SIGHUP)
                assert terminal.wait() == 130
            case "kill -9":
                terminal.process.kill()
                terminal.wait()
        until_sync(lambda: all(map(_is_gone, running)), f"the processes {running} are gone")
    assert not list((book.root / ".workbook").glob("*.new"))


def test_without_a_terminal_it_just_reruns(book: Book, small: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "workbook", "watch"],
        cwd=book.root,
        env=book.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    assert process.stdout is not None
    try:
        first = _lines_until(process.stdout, "Watching for saves; Ctrl-C quits.")
        assert "  ✗ Task 1: double a number" in first
        write(small, DOUBLE)
        second = _lines_until(process.stdout, "Watching for saves; Ctrl-C quits.")
        assert "  ✗ Task 2: halve a number" in second
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 130
    finally:
        end(process)


def test_a_signal_that_comes_in_a_finalizer_is_not_lost() -> None:
    """As one that comes while the process of the last run is taken down: what is raised there goes nowhere."""
    events: SimpleQueue[str] = SimpleQueue()

    class Finalized:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    with signals(lambda: events.put("stopped")):
        one = Finalized()
        del one
        assert events.get_nowait() == "stopped"
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "tgkill"), reason="needs a system that signals single threads"
)
def test_a_signal_that_does_not_wake_the_main_thread_ends_it_too(book: Book, small: Path) -> None:
    """As one that comes between Python's last look for signals and the wait."""
    process = subprocess.Popen(
        [sys.executable, "-m", "workbook", "watch"],
        cwd=book.root,
        env=book.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        _lines_until(process.stdout, "Watching for saves; Ctrl-C quits.")
        other = next(
            int(one.name)
            for one in Path(f"/proc/{process.pid}/task").iterdir()
            if one.name != str(process.pid)
        )
        assert ctypes.CDLL(None).tgkill(process.pid, other, signal.SIGINT) == 0
        assert process.wait(SECONDS) == 130
    finally:
        end(process)


def test_ctrl_c_during_workbook_test_leaves_nothing(book: Book, small: Path) -> None:
    write(small, (DOUBLE[0], SLOW))
    with Terminal(book, "test") as terminal:
        until_sync((book.root / "started").exists, "the slow test began")
        terminal.press("\x03")
        assert terminal.wait() == 130
        assert not terminal.descendants()


def test_only_the_files_that_results_depend_on_are_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbook import book as own_book

    folder = own_book.chapter("1").folder
    watched = {path.name for path in folder.iterdir() if is_of_a_chapter(Change.modified, str(path))}
    assert watched == {"job_queue.py", "submit_job.py", "test_queue.py"}
    assert not is_of_a_chapter(Change.deleted, str(folder / "no_such.py"))
    assert not is_of_a_chapter(Change.modified, str(tmp_path / "job_queue.py"))


def _is_gone(pid: int) -> bool:
    try:
        return b") Z" in Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return True


def _lines_until(stream: object, text: str) -> list[str]:
    lines: list[str] = []
    while not any(text in line for line in lines):
        line = stream.readline()  # type: ignore[attr-defined]
        assert line, lines
        lines.append(line.rstrip("\n"))
    return lines
