"""Handlers: the registry, plain functions in threads, and those that come with the scheduler."""

import asyncio
import contextlib
import dataclasses
import functools
import json
import socket
import threading
from types import SimpleNamespace
from uuid import uuid4

import httpx
import pytest
from scheduler.config import Settings
from scheduler.jobs import Job, PermanentError
from scheduler.worker import handlers as module
from scheduler.worker import http_call
from scheduler.worker.handlers import Handlers, handlers, must_stop
from scheduler.worker.http_call import HTTP_BYTES, HttpClient

from tests.helpers import until
from tests.patience import SECONDS, within


@pytest.fixture
def registry():
    return Handlers()


def job_of(type="noop", payload=None, text=None, attempts=1):
    """A job that runs, without a database."""
    row = dict.fromkeys(field.name for field in dataclasses.fields(Job))
    payload_json = json.dumps({} if payload is None else payload) if text is None else text
    row |= {"task_id": uuid4(), "type": type, "priority": "default", "status": "running"}
    return Job.from_row(row | {"payload": payload_json, "attempts": attempts})


def app_of(settings, http):
    app = SimpleNamespace(settings=settings, http=http)
    app.guest = app
    return app


@pytest.fixture
async def http():
    client = HttpClient()
    yield client
    await client.close()


@pytest.fixture
def bare(http):
    """As much of an app as a handler needs that uses no service."""
    return app_of(Settings.from_environment(), http)


@pytest.fixture
def open_to_private(http):
    return app_of(Settings.from_environment(http_call_allow_private=True), http)


async def run(app, type, payload=None, attempts=1, text=None):
    """Run a handler that comes with the scheduler."""
    job = job_of(type, payload, text, attempts)
    await within(handlers.run(app, job), f"the handler of {type} ended")
    return job


# --- the registry


def test_these_come_with_the_scheduler():
    assert {"noop", "sleep", "flaky", "always_fail", "http_call", "db_tx"} <= set(handlers)


async def test_a_handler_of_five_lines_is_run(bare, registry):
    sent = []

    @registry("send_welcome_mail")
    async def send_welcome_mail(app, job):
        sent.append((job.payload["to"], str(job.task_id)))

    job = job_of("send_welcome_mail", {"to": "a@example.com"})
    await registry.run(bare, job)
    assert sent == [("a@example.com", str(job.task_id))]
    assert "send_welcome_mail" in registry
    assert list(registry) == ["send_welcome_mail"]


def test_the_decorated_function_stays_what_it_was(registry):
    def plain(app, job):
        return None

    assert registry("x")(plain) is plain


def test_a_type_that_is_taken_is_refused(registry):
    registry("x")(lambda app, job: None)
    with pytest.raises(ValueError, match="'x'"):
        registry("x")(lambda app, job: None)


async def test_a_type_without_a_handler_is_a_permanent_error(bare, registry):
    with pytest.raises(PermanentError, match="noop"):
        await registry.run(bare, job_of())


@pytest.mark.parametrize("error", [PermanentError("no"), ValueError("x"), TimeoutError("x")], ids=type)
@pytest.mark.parametrize("style", ["async", "plain"])
async def test_what_a_handler_raises_comes_out(bare, registry, error, style):
    async def asynchronous(app, job):
        raise error

    def plain(app, job):
        raise error

    registry("noop")(asynchronous if style == "async" else plain)
    with pytest.raises(type(error)):
        await registry.run(bare, job_of())


# --- plain functions


async def test_a_plain_handler_runs_in_a_thread_and_holds_nobody_up(bare, registry):
    go_on, threads = threading.Event(), []

    @registry("noop")
    def blocking(app, job):
        threads.append(threading.current_thread())
        assert go_on.wait(SECONDS)

    task = asyncio.create_task(registry.run(bare, job_of()))

    async def began():
        return bool(threads)

    await until(began, "the handler began")
    await asyncio.sleep(0)  # the loop goes on meanwhile
    assert not task.done()
    go_on.set()
    await task
    assert threads[0] is not threading.main_thread()


async def test_plain_handlers_run_side_by_side(bare, registry):
    all_there = threading.Barrier(10, timeout=SECONDS)

    @registry("noop")
    def waiting_for_the_others(app, job):
        all_there.wait()

    jobs = [job_of() for _ in range(10)]
    await asyncio.gather(*[registry.run(bare, job) for job in jobs])


async def test_a_plain_handler_that_is_cancelled_is_told_and_counted_until_it_ends(bare, registry):
    began, told, go_on = threading.Event(), threading.Event(), threading.Event()

    @registry("noop")
    def polite(app, job):
        assert not must_stop()
        began.set()
        while not must_stop():
            threading.Event().wait(0.001)
        told.set()
        assert go_on.wait(SECONDS)

    job, other = job_of(), job_of()
    task = asyncio.create_task(registry.run(bare, job))
    assert await asyncio.to_thread(began.wait, 20)
    assert registry.abandoned() == 0
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()
    assert await asyncio.to_thread(told.wait, 20)
    assert (registry.abandoned(), registry.abandoned(job), registry.abandoned(other)) == (1, 1, 0)
    go_on.set()

    async def ended():
        return registry.abandoned() == 0

    await until(ended, "the thread that ended is no longer counted")


async def test_one_cancelled_handler_does_not_tell_another_to_stop(bare, registry):
    first_began, second_began, stops = threading.Event(), threading.Event(), []
    go_on = threading.Event()

    @registry("noop")
    def handler(app, job):
        (second_began if first_began.is_set() else first_began).set()
        assert go_on.wait(SECONDS)
        stops.append((job.task_id, must_stop()))

    gone, kept = job_of(), job_of()
    first = asyncio.create_task(registry.run(bare, gone))
    assert await asyncio.to_thread(first_began.wait, 20)
    second = asyncio.create_task(registry.run(bare, kept))
    assert await asyncio.to_thread(second_began.wait, 20)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    go_on.set()
    await second

    async def both():
        return len(stops) == 2

    await until(both, "both threads ended")
    assert dict(stops) == {gone.task_id: True, kept.task_id: False}


def test_outside_of_a_handler_nothing_must_stop():
    assert must_stop() is False


async def test_a_plain_function_that_gives_an_awaitable_is_awaited(bare, registry):
    """A decorator that wraps an async handler in a plain function is easily written."""
    done = []

    async def work():
        done.append(True)

    @registry("noop")
    def wrapped(app, job):
        return work()

    await registry.run(bare, job_of())
    assert done == [True]


async def test_an_object_with_an_async_call_is_awaited(bare, registry):
    done = []

    class Sender:
        async def __call__(self, app, job):
            done.append(job.type)

    registry("noop")(Sender())
    await registry.run(bare, job_of())
    assert done == ["noop"]


async def test_an_object_that_has_no_hash_can_be_a_handler(bare, registry):
    @dataclasses.dataclass
    class Counting:
        runs: int = 0

        def __call__(self, app, job):
            self.runs += 1

    counting = Counting()
    registry("counting")(counting)
    await registry.run(bare, job_of("counting"))
    assert counting.runs == 1


def generator(app, job):
    yield


async def async_generator(app, job):
    yield


class Generating:
    def __call__(self, app, job):
        yield


@pytest.mark.parametrize(
    "function",
    [generator, async_generator, functools.partial(generator), Generating()],
    ids=["plain", "async", "partial", "object"],
)
def test_a_handler_with_a_yield_in_it_is_refused_where_it_is_registered(registry, function):
    with pytest.raises(TypeError, match="'x' has a yield in it"):
        registry("x")(function)
    assert "x" not in registry


async def test_a_handler_that_gives_a_generator_back_has_failed(bare, registry):
    registry("noop")(lambda app, job: generator(app, job))
    with pytest.raises(TypeError, match="yield"):
        await registry.run(bare, job_of())


# --- those that come with the scheduler


async def test_noop_does_nothing(bare):
    await run(bare, "noop")


@pytest.mark.parametrize("seconds", [0, 0.001, None])
async def test_sleep_sleeps(bare, seconds, monkeypatch):
    slept = []

    async def noting(number):
        slept.append(number)

    monkeypatch.setattr(module, "asyncio", SimpleNamespace(sleep=noting))
    job = job_of("sleep", {} if seconds is None else {"seconds": seconds})
    await module.sleep(bare, job)
    assert slept == [1 if seconds is None else seconds]


BAD_NUMBERS = ["-1", '"1"', "true", "null", "[]", "{}", "1e300"]


@pytest.mark.parametrize("text", ["-0.001", "3600.5", *BAD_NUMBERS])
async def test_sleep_refuses_what_is_no_time(bare, text):
    with pytest.raises(PermanentError, match=r"^seconds must be a number from 0 to 3600"):
        await run(bare, "sleep", text=f'{{"seconds": {text}}}')


@pytest.mark.parametrize(
    ("failures", "attempts", "succeeds"), [(0, 1, True), (2, 1, False), (2, 2, False), (2, 3, True)]
)
async def test_flaky_fails_so_many_attempts(bare, failures, attempts, succeeds):
    if succeeds:
        await run(bare, "flaky", {"failures": failures}, attempts)
    else:
        with pytest.raises(RuntimeError, match=rf"failing attempt {attempts} "):
            await run(bare, "flaky", {"failures": failures}, attempts)


@pytest.mark.parametrize("text", ["101", *BAD_NUMBERS])
async def test_flaky_refuses_what_is_no_number_of_failures(bare, text):
    with pytest.raises(PermanentError, match=r"^failures must be a number"):
        await run(bare, "flaky", text=f'{{"failures": {text}}}')


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        ({}, RuntimeError),
        ({"permanent": False}, RuntimeError),
        ({"permanent": 1}, RuntimeError),
        ({"permanent": True}, PermanentError),
    ],
)
async def test_always_fail_fails_as_asked(bare, payload, error):
    with pytest.raises(Exception, match="as asked") as caught:
        await run(bare, "always_fail", payload)
    assert type(caught.value) is error


@pytest.mark.parametrize("type", ["sleep", "flaky", "always_fail", "db_tx", "http_call"])
@pytest.mark.parametrize("text", ["[]", "null", '"x"', "1"])
async def test_a_payload_that_is_no_object_is_a_permanent_error(bare, type, text):
    with pytest.raises(PermanentError, match="must be a JSON object"):
        await run(bare, type, text=text)


@pytest.mark.parametrize("type", ["sleep", "db_tx", "http_call"])
async def test_a_payload_that_python_can_not_hold_is_a_permanent_error(bare, type):
    with pytest.raises(PermanentError, match="payload"):
        await run(bare, type, text='{"seconds": ' + "1" * 5_001 + "}")


async def test_db_tx_twice_has_one_effect(app):
    job = await run(app, "db_tx", {"note": "first"})
    await handlers.run(app, job)
    await asyncio.gather(*[handlers.run(app, job) for _ in range(5)])
    rows = await app.db.fetch_all("SELECT task_id, note FROM db_tx_effects")
    assert rows == [{"task_id": job.task_id, "note": "first"}]


@pytest.mark.parametrize(
    ("payload", "note"), [({}, ""), ({"note": 5}, "5"), ({"note": None}, "None"), ({"note": "ü'"}, "ü'")]
)
async def test_db_tx_writes_its_note(app, payload, note):
    await run(app, "db_tx", payload)
    assert (await app.db.fetch_one("SELECT note FROM db_tx_effects"))["note"] == note


# --- http_call


class Server:
    """A web server on loopback that answers every request the same way, and remembers what it was asked."""

    def __init__(self):
        self.status = 200
        self.body = b"ok"
        self.headers = []
        self.requests = []
        self.hangs = False
        self.keeps = False
        self.may_answer = None
        self.connections = 0

    async def serve(self, reader, writer):
        self.connections += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while await self.answer(reader, writer):
                pass
        writer.close()

    async def answer(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = next(
            (
                int(line.partition(":")[2])
                for line in head.lower().split("\r\n")
                if line.startswith("content-length:")
            ),
            0,
        )
        self.requests.append((head, await reader.readexactly(length)))
        if self.may_answer is not None:
            await self.may_answer.wait()
        if self.hangs:
            await reader.read()
        lines = [
            f"HTTP/1.1 {self.status} X",
            f"Content-Length: {len(self.body)}",
            f"Connection: {'keep-alive' if self.keeps else 'close'}",
            *self.headers,
        ]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + self.body)
        await writer.drain()
        return self.keeps


@pytest.fixture
async def web():
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    server.url = f"http://127.0.0.1:{server.port}/hook"
    yield server
    listening.close()


async def call(app, **payload):
    return await run(app, "http_call", payload)


async def test_a_call_reaches_its_server_and_says_which_job_it_is(open_to_private, web):
    job = await call(open_to_private, url=web.url + "?a=1", method="post", json={"n": [1, "ü"]})
    [(head, body)] = web.requests
    assert head.startswith("POST /hook?a=1 HTTP/1.1\r\n")
    assert f"idempotency-key: {job.task_id}" in head.lower()
    assert f"host: 127.0.0.1:{web.port}" in head.lower()
    assert json.loads(body) == {"n": [1, "ü"]}


async def test_without_a_method_it_is_a_get_without_a_body(open_to_private, web):
    await call(open_to_private, url=web.url)
    [(head, body)] = web.requests
    assert head.startswith("GET /hook HTTP/1.1\r\n")
    assert body == b""


async def test_a_name_is_looked_up_once_and_the_host_is_told(open_to_private, web):
    await call(open_to_private, url=f"http://localhost:{web.port}/")
    assert f"host: localhost:{web.port}" in web.requests[0][0].lower()


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "GET /x", "", 5, None, "ＧＥＴ"])
async def test_a_strange_method_is_a_permanent_error(open_to_private, web, method):
    with pytest.raises(PermanentError, match=r"^method must be "):
        await call(open_to_private, url=web.url, method=method)
    assert web.requests == []


@pytest.mark.parametrize(
    "url",
    [
        None,
        5,
        "",
        "example.com",
        "/path",
        "//example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "javascript:alert(1)",
        "http://",
        "http:///path",
        "http://example.com:99999/",
        "http://[::1",
        "http://0177.0.0.1/",
        "http://a\nb/",
        ["http://example.com"],
    ],
)
async def test_what_is_no_web_address_is_a_permanent_error(bare, url):
    with pytest.raises(PermanentError, match=r"^url must be "):
        await call(bare, url=url)


PRIVATE = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "localhost",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "[::1]",
    "[::]",
    "[fe80::1]",
    "[fc00::1]",
    "[fec0::1]",
    "[ff02::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:10.0.0.1]",
    "[::127.0.0.1]",
    "[2002:7f00:1::]",
    "[2002:a00:1::1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::7f00:1]",
    "[64:ff9b:1:7f:0:1::]",
    "[64:ff9b:1::808:808]",
    "[::ffff:0:127.0.0.1]",
    "[::ffff:0:8.8.8.8]",
    "[::8.8.8.8]",
    "[2606:4700::5efe:7f00:1]",
    "[2606:4700::200:5efe:a00:1]",
    "[fe80::5efe:7f00:1]",
    "[2001:0:7f00:1::1]",
    "[2001:0:4136:e378:8000:63bf:80ff:fffe]",
    "[2001:db8::1]",
    "[100::1]",
    "[5f00::1]",
    "[4000::1]",
    "[fd00:ec2::254]",
]


@pytest.mark.parametrize("host", PRIVATE)
async def test_a_private_address_however_written_is_a_permanent_error(host):
    """Asked of the check alone, so that no test ever calls such an address."""
    with pytest.raises(PermanentError, match="private address"):
        await http_call._checked_address(httpx.URL(f"http://{host}:80/"), False)


async def test_a_call_to_a_private_address_does_not_leave(bare, web):
    with pytest.raises(PermanentError, match="private address"):
        await call(bare, url=web.url)
    assert web.requests == []


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_a_public_address_is_public(address):
    assert http_call._is_public(address)


async def test_one_private_address_among_public_ones_is_enough(bare, monkeypatch):
    loop = asyncio.get_running_loop()

    async def two(host, port, **options):
        return [(2, 1, 6, "", (address, port)) for address in ("8.8.8.8", "10.0.0.1")]

    monkeypatch.setattr(loop, "getaddrinfo", two)
    with pytest.raises(PermanentError, match="private address"):
        await http_call.http_call(bare, job_of("http_call", {"url": "http://two.example/"}))


async def test_a_host_that_is_not_found_may_be_found_later(bare, monkeypatch):
    loop = asyncio.get_running_loop()

    async def nobody(host, port, **options):
        raise socket.gaierror(-2, "Name or service not known")

    job = job_of("http_call", {"url": "http://nobody.invalid/"})
    monkeypatch.setattr(loop, "getaddrinfo", nobody)
    with pytest.raises(RuntimeError, match=r"nobody\.invalid"):
        await http_call.http_call(bare, job)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
async def test_any_2xx_is_a_success(open_to_private, web, status):
    web.status, web.body = status, b""
    await call(open_to_private, url=web.url)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 422, 451])
async def test_a_request_that_is_wrong_is_a_permanent_error(open_to_private, web, status):
    web.status = status
    with pytest.raises(PermanentError, match=f"answered {status}"):
        await call(open_to_private, url=web.url)


@pytest.mark.parametrize("status", [301, 302, 307, 408, 425, 429, 500, 502, 503, 504])
async def test_another_status_may_be_better_next_time(open_to_private, web, status):
    web.status, web.headers = status, ["Location: http://169.254.169.254/"]
    with pytest.raises(RuntimeError, match=f"answered {status}"):
        await call(open_to_private, url=web.url)
    assert len(web.requests) == 1, "a redirect is not followed"


async def test_an_error_does_not_tell_what_the_url_hid(open_to_private, web):
    web.status = 500
    with pytest.raises(RuntimeError) as caught:
        await call(open_to_private, url=f"http://me:hunter2@127.0.0.1:{web.port}/hook?token=hunter3")
    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize(("status", "error"), [(500, RuntimeError), (404, PermanentError)])
async def test_an_error_tells_scheme_and_host_alone(open_to_private, web, status, error):
    web.status = status
    with pytest.raises(error) as caught:
        await call(open_to_private, url=f"http://me:hunter2@localhost:{web.port}/services/hunter3/?hunter4")
    assert str(caught.value) == f"GET http://localhost:{web.port} answered {status}"


async def test_an_app_has_one_client_however_many_calls_there_are(open_to_private, web, monkeypatch):
    made = []
    client = httpx.AsyncClient

    def counting(**options):
        made.append(client(**options))
        return made[-1]

    monkeypatch.setattr(httpx, "AsyncClient", counting)
    await asyncio.gather(*[call(open_to_private, url=web.url) for _ in range(20)])
    assert len(made) == 1
    assert len(web.requests) == 20
    await open_to_private.http.close()
    assert made[0].is_closed


async def test_only_so_many_calls_are_under_way_at_once(open_to_private, web):
    web.may_answer = asyncio.Event()
    open_to_private.http.turn = asyncio.Semaphore(3)
    tasks = [asyncio.create_task(call(open_to_private, url=web.url)) for _ in range(5)]

    async def three():
        return len(web.requests) == 3

    await until(three, "three have begun")
    assert open_to_private.http.turn.locked()
    web.may_answer.set()
    await asyncio.gather(*tasks)
    assert len(web.requests) == 5


async def test_nothing_is_carried_from_one_call_to_the_next(open_to_private, web):
    """Hosts that share an address would otherwise share a connection, its certificate and its cookies."""
    web.headers = ["Set-Cookie: session=hunter2; Path=/"]
    web.keeps = True
    for host in ("localhost", "127.0.0.1", "127.0.0.1"):
        await call(open_to_private, url=f"http://{host}:{web.port}/")
    assert web.connections == 3
    assert not any("hunter2" in head for head, _ in web.requests)


async def test_nobody_listening_may_be_better_next_time(open_to_private, web):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(httpx.ConnectError):
            await call(open_to_private, url=f"http://127.0.0.1:{bound.getsockname()[1]}/")


@pytest.mark.parametrize(
    ("size", "fits"), [(HTTP_BYTES, True), (HTTP_BYTES + 1, False), (10 * HTTP_BYTES, False)]
)
async def test_an_answer_has_a_largest_size(open_to_private, web, size, fits):
    web.body = b"x" * size
    if fits:
        await call(open_to_private, url=web.url)
    else:
        with pytest.raises(PermanentError, match="larger than"):
            await call(open_to_private, url=web.url)


async def test_an_answer_that_does_not_come_is_waited_for_only_so_long(open_to_private, web, monkeypatch):
    monkeypatch.setattr(http_call, "HTTP_SECONDS", 0.05)
    web.hangs = True
    with pytest.raises(TimeoutError):
        await call(open_to_private, url=web.url)


async def test_a_proxy_of_the_environment_is_not_asked(open_to_private, web, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    await call(open_to_private, url=web.url)
    assert len(web.requests) == 1
