"""Nothing that code under test does can silence a test: it is red, and says which line it was.

Each way is tried in each place of one chapter. What would end or upset the process of these tests, if it were not
prevented, is tried in a process of its own: `tests/workbook/test_silenced_runs.py`.
"""

import os
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chapters import runner
from workbook import main_watch, watchdog
from workbook.book import chapter, chapters
from workbook.loader import LoadError, refuse_answers
from workbook.report import Result
from workbook.sandbox import Servers

PLAIN, ASYNC = "test_task_1_gives_each_status_its_number", "test_task_3_answers_with_the_job_of_this_id"
IMPORTS = "import asyncio, itertools, os, signal, sys, threading, time, unittest, pytest, _thread\n"
RIGHT = "return pb.JobState.Value('JOB_STATE_' + status.upper())"
PLACES = {
    "the top of a file": (PLAIN, "WAY"),
    "a class's body": (PLAIN, "class Body:\n    WAY"),
    "a plain function": (PLAIN, "def state_to_proto(status):\n    WAY"),
    "an __init__": (
        PLAIN,
        "class Made:\n    def __init__(self):\n        WAY\n\ndef state_to_proto(status):\n    Made()",
    ),
    "a property": (
        PLAIN,
        "class Has:\n    @property\n    def it(self):\n        WAY\n\ndef state_to_proto(status):\n    Has().it",
    ),
    "a generator": (
        PLAIN,
        "def all():\n    WAY\n    yield 1\n\ndef state_to_proto(status):\n    return sum(all())",
    ),
    "an async function": (ASYNC, "async def get_job(app, request, context):\n    WAY"),
    "an async generator": (
        ASYNC,
        "async def all():\n    WAY\n    yield 1\n\n"
        "async def get_job(app, request, context):\n    async for one in all():\n        pass",
    ),
    "a task": (
        ASYNC,
        "async def work():\n    WAY\n\n"
        "async def get_job(app, request, context):\n    await asyncio.create_task(work())",
    ),
    "a thread of asyncio's": (
        ASYNC,
        "def work():\n    WAY\n\nasync def get_job(app, request, context):\n    await asyncio.to_thread(work)",
    ),
}
NEVER_ENDS = {
    "a loop": "while True: pass",
    "a comprehension": "[one for one in itertools.count() if one < 0]",
    "a generator that never gives": "next(one for one in itertools.count() if one < 0)",
    "a bare except": "\n".join(["while True:", "    try: sum(range(100))", "    except: pass"]),
    "a sleep": "time.sleep(1000)",
    "a lock": "lock = threading.Lock(); lock.acquire(); lock.acquire()",
    "an event": "threading.Event().wait()",
}
ENDS = {
    "sys.exit": "sys.exit()",
    "sys.exit(0)": "sys.exit(0)",
    "SystemExit": "raise SystemExit",
    "quit": "quit()",
    "KeyboardInterrupt": "raise KeyboardInterrupt",
    "pytest.exit": "pytest.exit('enough', 0)",
    "pytest.skip": "pytest.skip('not today', allow_module_level=True)",
    "pytest.xfail": "pytest.xfail('known')",
    "SkipTest": "raise unittest.SkipTest('not today')",
}
KILLS = {
    "os._exit": "os._exit(0)",
    "os.abort": "os.abort()",
    "os.kill": "os.kill(os.getpid(), signal.SIGTERM)",
    "os.kill, as Ctrl-C": "os.kill(os.getpid(), signal.SIGINT)",
    "raise_signal": "signal.raise_signal(signal.SIGINT)",
    "interrupt_main": "_thread.interrupt_main()",
    "execv": "os.execv(sys.executable, [sys.executable, '-c', ''])",
    "alarm": "signal.alarm(1)",
}
CAUGHT = {
    name: "\n".join(["try:", f"    {way}", "except BaseException: pass"]) for name, way in KILLS.items()
}
ELSEWHERE = {
    "a thread": "(lambda one: (one.start(), one.join()))(threading.Thread(target=os._exit, args=[0]))",
    "a thread of its own work": (
        "(lambda one: (one.start(), one.join()))(threading.Thread(target=lambda: os._exit(0)))"
    ),
}


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "BUSY_SECONDS", 0.1)
    monkeypatch.setattr(watchdog, "KNOWN_BUSY_SECONDS", 0.08)
    monkeypatch.setattr(main_watch, "WAITS_LOOKS", 4)


@pytest.fixture(autouse=True, scope="module")
def _one_session(workbook_servers: Servers) -> Iterator[None]:
    with runner.sessions():
        yield


def answer(path: Path, place: str, way: str) -> int:
    """Write an answer to chapter 02 with this way in this place. Returns the line of the way."""
    frame = PLACES[place][1]
    indent = re.search("^( *)WAY", frame, re.MULTILINE)
    assert indent is not None
    body = textwrap.indent(way, indent[1]).removeprefix(indent[1])
    text = IMPORTS + "from scheduler.v1 import scheduler_pb2 as pb\n" + frame.replace("WAY", body) + "\n"
    path.write_text(text, "utf-8")
    return text[: text.index(body)].count("\n") + 1


def first_red(path: Path, place: str) -> Result:
    test = PLACES[place][0]
    results = runner.run(chapter("02"), path, test=test, enough={1, 3})
    red = [one for one in results if not one.passed]
    assert red, "it is green"
    return red[0]


def said(result: Result) -> str:
    """What a learner reads: the sentence, and their line."""
    return "\n".join([result.sentence, *(f"{line}".replace("  ", ": ") for line in result.lines)])


def table(ways: dict[str, str], places: dict[str, tuple[str, str]]) -> "pytest.MarkDecorator":
    pairs = [(way, place) for way in ways for place in places]
    return pytest.mark.parametrize(("way", "place"), pairs)


@pytest.mark.filterwarnings("ignore")
@table(NEVER_ENDS, {name: one for name, one in PLACES.items() if one[0] == PLAIN})
def test_what_never_ends_is_ended_and_named(tmp_path: Path, way: str, place: str) -> None:
    line = answer(tmp_path / "answer.py", place, NEVER_ENDS[way])
    assert f"answer.py:{line}: " in said(first_red(tmp_path / "answer.py", place))


@pytest.mark.filterwarnings("ignore")
@table({**ENDS, **KILLS}, PLACES)
def test_what_would_end_the_run_is_red_and_named(tmp_path: Path, way: str, place: str) -> None:
    line = answer(tmp_path / "answer.py", place, {**ENDS, **KILLS}[way])
    assert f"answer.py:{line}: " in said(first_red(tmp_path / "answer.py", place))


@pytest.mark.filterwarnings("ignore")
@table(
    CAUGHT, {name: PLACES[name] for name in ("the top of a file", "a plain function", "an async function")}
)
def test_an_except_around_it_hides_nothing(tmp_path: Path, way: str, place: str) -> None:
    line = answer(tmp_path / "answer.py", place, CAUGHT[way])
    assert f"answer.py:{line + 1}: " in said(first_red(tmp_path / "answer.py", place))


@pytest.mark.filterwarnings("ignore")
@table(
    ELSEWHERE, {name: PLACES[name] for name in ("the top of a file", "a plain function", "an async function")}
)
def test_a_thread_hides_nothing(tmp_path: Path, way: str, place: str) -> None:
    answer(tmp_path / "answer.py", place, ELSEWHERE[way])
    assert "os._exit(0) would end the whole process" in first_red(tmp_path / "answer.py", place).sentence


AT_IMPORT = {
    "a NameError": (
        "state_to_proto = nobody",
        "NameError: name 'nobody' is not defined, at `state_to_proto = nobody`",
    ),
    "an error of one's own": ("raise ValueError", "ValueError, at `raise ValueError`"),
    "a TypeError": ("len(1)", "can't be run: TypeError: object of type 'int' has no len(), at `len(1)`"),
    "an import of nothing": ("import nothing_here", "imports something that isn't there"),
    "a stub at the top": ("raise NotImplementedError('later')", "NotImplementedError: later, at `raise Not"),
    "no Python": ("return return", "Python can't read this"),
    "a recursion": ("f = lambda: f()\nf()", "RecursionError"),
    "too much memory": ("x = [0] * 10**12", "MemoryError, at `x = [0] * 10**12`"),
}


@pytest.mark.parametrize("how", AT_IMPORT)
def test_an_error_at_import_names_file_line_and_source(tmp_path: Path, how: str) -> None:
    way, words = AT_IMPORT[how]
    line = answer(tmp_path / "answer.py", "the top of a file", way)
    sentence = first_red(tmp_path / "answer.py", "the top of a file").sentence
    assert words in sentence
    assert re.search(f"answer.py, line ({line}|{line + 1})[: ]", sentence), sentence


def test_an_error_in_what_a_file_calls_at_its_top_names_the_file_s_own_line(tmp_path: Path) -> None:
    answer(tmp_path / "answer.py", "the top of a file", "import json\njson.loads('{')")
    sentence = first_red(tmp_path / "answer.py", "the top of a file").sentence
    assert "answer.py, line 4 can't be run: JSONDecodeError: " in sentence
    assert "at `json.loads('{')`" in sentence


def test_a_file_that_never_ends_is_run_once_and_not_for_each_test(tmp_path: Path) -> None:
    way = f"open({str(tmp_path / 'begun')!r}, 'a').write('x')\ntime.sleep(1000)"
    answer(tmp_path / "answer.py", "the top of a file", way)
    results = runner.run(chapter("02"), tmp_path / "answer.py", test=PLAIN)
    assert len(results) > 3
    assert not any(one.passed for one in results)
    assert len({one.sentence for one in results}) == 1
    assert (tmp_path / "begun").read_text("utf-8") == "x"


GREEN = f"from scheduler.v1 import scheduler_pb2 as pb\n\n\ndef state_to_proto(status):\n    {RIGHT}\n"
READABLE = {
    "a byte-order mark": b"\xef\xbb\xbf" + GREEN.encode(),
    "Latin-1 that says so": b"# coding: latin-1\n# \xe4\n" + GREEN.encode(),
    "lines that end as on Windows": GREEN.replace("\n", "\r\n").encode(),
    "lines that end as long ago": GREEN.replace("\n", "\r").encode(),
    "tabs": GREEN.replace("    ", "\t").encode(),
    "a form feed": GREEN.replace("\n\n\n", "\n\f\n\n").encode(),
}
UNREADABLE = {
    "Latin-1 that does not say so": (
        b"x = 'f\xfcr'\n" + GREEN.encode(),
        "line 1: Python can't read this (a byte",
    ),
    "Latin-1 further down": (
        GREEN.encode() + b"x = 'f\xfcr'\n",
        "line 6: Python can't read this (a byte here is no UTF-8",
    ),
    "UTF-16": (GREEN.encode("utf-16"), "Python can't read this (it is saved as UTF-16: save it as UTF-8)"),
    "UTF-16 without a mark": (GREEN.encode("utf-16-le"), "save it as UTF-8"),
    "UTF-32": (GREEN.encode("utf-32"), "save it as UTF-8"),
    "a null byte": (GREEN.encode() + b"\0", "Python can't read this (it holds a null byte"),
    "an encoding that nobody knows": (b"# coding: klingon\n" + GREEN.encode(), "unknown encoding"),
    "tabs and spaces": (GREEN.encode() + b"    if 1:\n\treturn 2\n", "Python can't read this"),
}


@pytest.mark.parametrize("how", READABLE)
def test_what_python_can_read_is_read(tmp_path: Path, how: str) -> None:
    (tmp_path / "answer.py").write_bytes(READABLE[how])
    assert not runner.red(runner.run(chapter("02"), tmp_path / "answer.py", test=PLAIN))


@pytest.mark.parametrize("how", UNREADABLE)
def test_what_python_can_not_read_is_named_with_its_file(tmp_path: Path, how: str) -> None:
    data, words = UNREADABLE[how]
    (tmp_path / "answer.py").write_bytes(data)
    sentence = first_red(tmp_path / "answer.py", "the top of a file").sentence
    assert "answer.py" in sentence
    assert words in sentence


IMPORTS_THE_ANSWER = {
    "as it stands": "from scheduler.api.get_job import state_to_proto",
    "a module of it": "from scheduler.api import get_job",
    "by its package": "import scheduler\nstate_to_proto = scheduler.api.get_job.state_to_proto",
    "by another name": "import scheduler as s\nstate_to_proto = s.api.get_job.state_to_proto",
    "by importlib": "import importlib\nimportlib.import_module(name='scheduler.api.get_job')",
    "among the modules": "import sys\nsys.modules['scheduler.api.get_job']",
}


@pytest.mark.parametrize("how", IMPORTS_THE_ANSWER)
@pytest.mark.parametrize(
    "written",
    ["plainly", "with a mark", "in Latin-1", "in undeclared Latin-1", "with form feeds", "as on Windows"],
)
def test_an_import_of_the_answer_is_refused_however_the_file_is_written(
    tmp_path: Path, how: str, written: str
) -> None:
    text = IMPORTS_THE_ANSWER[how] + "\n"
    data = {
        "plainly": text.encode(),
        "with a mark": b"\xef\xbb\xbf" + text.encode(),
        "in Latin-1": b"# coding: latin-1\n# \xe4\n" + text.encode(),
        "in undeclared Latin-1": b"# \xe4\n" + text.encode(),
        "with form feeds": b"\f\n" + text.replace("\n", "\n\f\n").encode(),
        "as on Windows": text.replace("\n", "\r\n").encode(),
    }[written]
    (tmp_path / "answer.py").write_bytes(data)
    with pytest.raises(LoadError, match=r"line \d+ imports scheduler\.api.* That is the answer"):
        refuse_answers(tmp_path / "answer.py")


def test_the_skeletons_are_not_refused() -> None:
    for one in chapters():
        for file in one.modules:
            refuse_answers(one.folder / file)


UPSETS = {
    "no output": "sys.stdout = None; sys.stderr = None",
    "output that is closed": "sys.stdout.close(); sys.stderr.close(); sys.__stdout__.close(); sys.__stderr__.close()",
    "file descriptors that are closed": "os.close(1); os.close(2)",
    "no logs": "logging.disable(logging.CRITICAL); logging.root.setLevel(100)",
    "warnings that raise": "warnings.simplefilter('error')",
    "warnings that nobody hears": "warnings.simplefilter('ignore')",
    "signals": "signal.signal(signal.SIGINT, signal.SIG_IGN); signal.signal(signal.SIGTERM, signal.SIG_IGN)",
    "little recursion": "sys.setrecursionlimit(sys._getframe and len(__import__('inspect').stack()) + 30)",
    "another policy": "asyncio.set_event_loop_policy(POLICY)",
    "another folder": "os.chdir('/')",
    "no environment": "os.environ.clear()",
    "a proxy": "os.environ['http_proxy'] = os.environ['grpc_proxy'] = os.environ['all_proxy'] = 'http://127.0.0.1:9'",
    "no garbage collector": "gc.disable()",
    "a thread": "threading.Thread(target=time.sleep, args=[1000], daemon=True).start()",
    "hooks": "sys.excepthook = sys.unraisablehook = threading.excepthook = None",
    "a time-out for sockets": "socket.setdefaulttimeout(0.000001)",
    "threads that never take turns": "sys.setswitchinterval(1000)",
    "much output": "print('x' * 10**7)",
}
CHANGES_AN_ANSWER = {("signals", "async"), ("a time-out for sockets", "async"), ("no environment", "async")}
"""Their own test may well be red. What comes after must not know of it."""
BOTH = """

def state_to_proto(status):
    {plain}
    return pb.JobState.Value("JOB_STATE_" + status.upper())


async def get_job(app, request, context):
    {inside}
    from uuid import UUID
    from scheduler.jobs import get_job_row
    return app.parts.job_to_status(await get_job_row(app, UUID(request.job_id)))
"""


def upset(path: Path, way: str, place: str) -> None:
    top, plain, inside = (way if where == place else "pass" for where in ("top", "plain", "async"))
    imports = IMPORTS + "import gc, logging, socket, warnings\nfrom scheduler.v1 import scheduler_pb2 as pb\n"
    imports += "POLICY = type('P', (asyncio.DefaultEventLoopPolicy,), {'new_event_loop': None})()\n"
    path.write_text(imports + top + BOTH.format(plain=plain, inside=inside), "utf-8")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("place", ["top", "plain", "async"])
@pytest.mark.parametrize("how", UPSETS)
def test_what_upsets_the_process_changes_no_verdict_and_is_put_right(
    tmp_path: Path, how: str, place: str
) -> None:
    here, switches, environment = Path.cwd(), sys.getswitchinterval(), dict(os.environ)
    upset(tmp_path / "answer.py", UPSETS[how], place)
    results = [
        one
        for test in (ASYNC, PLAIN, ASYNC)
        for one in runner.run(chapter("02"), tmp_path / "answer.py", test=test)
    ]
    if (how, place) not in CHANGES_AN_ANSWER:
        assert not runner.red(results)
    (tmp_path / "wrong.py").write_text("def state_to_proto(status):\n    return 1\n", "utf-8")
    assert first_red(tmp_path / "wrong.py", "a plain function").sentence.startswith("state_to_proto(")
    assert (Path.cwd(), sys.getswitchinterval()) == (here, switches)
    assert {name: os.environ.get(name) for name in environment if "PYTEST" not in name} == {
        name: value for name, value in environment.items() if "PYTEST" not in name
    }


REPLACES = {
    "pytest.fail": "pytest.fail = lambda *args, **kwargs: None",
    "pytest.raises": "pytest.raises = None",
    "AssertionError": "import builtins; builtins.AssertionError = type('Nothing', (Exception,), {})",
    "the diagnosis": "import workbook.diagnose; workbook.diagnose.diagnose = lambda *args: ''",
    "the clock": "time.monotonic = lambda: 0.0",
    "asyncio.sleep": "asyncio.sleep = None",
    "the world": "import workbook.world; workbook.world.opened = None",
}


@pytest.mark.parametrize("place", ["top", "plain"])
@pytest.mark.parametrize("how", REPLACES)
def test_what_replaces_the_judge_is_red_and_put_right(tmp_path: Path, how: str, place: str) -> None:
    upset(tmp_path / "answer.py", REPLACES[how], place)
    results = runner.run(chapter("02"), tmp_path / "answer.py", test=PLAIN)
    assert any("your code replaced " in result.sentence for result in results)
    upset(tmp_path / "right.py", "pass", "top")
    assert not runner.red(runner.run(chapter("02"), tmp_path / "right.py", test=ASYNC))
