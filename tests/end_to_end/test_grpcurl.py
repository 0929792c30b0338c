"""The commands that the README prints, with the real grpcurl; and `scheduler call`, which does the same."""

import asyncio
import json
from uuid import UUID

import pytest
from scheduler.jobs import Status, get_job_row

from tests.end_to_end.client import metric
from tests.end_to_end.commands import clean_environment, execute, grpcurl_path, scheduler
from tests.helpers import submit, until, until_status

SERVICE = "scheduler.v1.SchedulerService"
UNKNOWN = "123e4567-e89b-12d3-a456-426614174000"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"


class Grpcurl:
    """`grpcurl -plaintext …`."""

    def __init__(self, port):
        self.address = f"localhost:{port}"

    async def __call__(self, method, data="{}"):
        return await self.run("-d", data, self.address, f"{SERVICE}.{method}")

    async def list(self):
        return await self.run(self.address, "list")

    async def describe(self, name):
        return await self.run(self.address, "describe", f"scheduler.v1.{name}")

    async def run(self, *arguments):
        return await execute([grpcurl_path(), "-plaintext", *arguments], clean_environment())


class Call:
    """`scheduler call …`."""

    def __init__(self, port):
        self.environment = clean_environment(SCHEDULER_ADDRESS=f"localhost:{port}")

    async def __call__(self, method, data="{}"):
        return await scheduler(self.environment, "call", method, data)

    async def list(self):
        return await scheduler(self.environment, "call", "--list")

    async def describe(self, name):
        return await scheduler(self.environment, "call", "--describe", name)


@pytest.fixture(params=["grpcurl", "scheduler call"])
def client(request, api):
    """Each of the two, for they are to behave alike."""
    if request.param == "scheduler call":
        return Call(api.port)
    if grpcurl_path() is None:
        pytest.skip("there is no grpcurl here: its package is for Linux on x64, and none is on PATH")
    return Grpcurl(api.port)


def documents(text):
    """The JSON objects of a stream, one after another."""
    decoder, found, text = json.JSONDecoder(), [], text.strip()
    while text:
        document, end = decoder.raw_decode(text)
        found.append(document)
        text = text[end:].lstrip()
    return found


async def test_list_shows_the_service_health_and_reflection(client):
    done = await client.list()
    assert done.code == 0
    services = [line for line in done.out.splitlines() if not line.startswith(" ")]
    assert services == ["grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection", SERVICE]


async def test_describe_shows_methods_fields_and_enums(client):
    service = await client.describe("SchedulerService")
    assert "rpc WatchJob" in service.out
    assert "stream " in service.out
    job = await client.describe("Job")
    assert "string payload_json = 4;" in job.out
    assert "PRIORITY_CRITICAL = 1;" in (await client.describe("Priority")).out


async def test_submit_job_as_printed_creates_a_job_of_high_priority(api, client):
    done = await client("SubmitJob", '{"job": {"type": "noop", "priority": "PRIORITY_HIGH"}}')
    assert done.code == 0
    job = await get_job_row(api.app, UUID(json.loads(done.out)["job_id"]))
    assert (job.type, job.priority) == ("noop", "high")


async def test_get_job_shows_its_state(api, client):
    task_id = await submit(api.app)
    status = json.loads((await client("GetJob", f'{{"job_id": "{task_id}"}}')).out)
    assert (status["job_id"], status["state"]) == (str(task_id), "JOB_STATE_QUEUED")
    assert status["version"] == "1"


async def test_watch_job_prints_each_event_and_ends_with_the_job(api, client):
    task_id = await submit(api.app)
    watching = asyncio.create_task(client("WatchJob", f'{{"job_id": "{task_id}"}}'))

    async def is_watched():
        return metric(api.app, "watch_streams") == 1

    await until(is_watched, "the stream is open")
    assert await api.app.parts.cancel_in_database(api.app, task_id)
    done = await watching
    assert done.code == 0
    events = documents(done.out)
    assert events[-1]["state"] == "JOB_STATE_CANCELLED"
    assert events[-1]["message"], "some words about it; which, is the piece's own affair"


async def test_cancel_job_cancels(api, client):
    task_id = await submit(api.app)
    done = await client("CancelJob", f'{{"job_id": "{task_id}"}}')
    assert json.loads(done.out) == {"cancelled": True}
    await until_status(api.app, task_id, Status.CANCELLED)


async def test_list_jobs_filters_by_state(api, client):
    queued, cancelled = await submit(api.app), await submit(api.app)
    await api.app.parts.cancel_in_database(api.app, cancelled)
    done = await client("ListJobs", '{"state_filter": "JOB_STATE_QUEUED"}')
    assert [job["job_id"] for job in json.loads(done.out)["jobs"]] == [str(queued)]


@pytest.mark.of_reference
async def test_an_unknown_job_is_not_found(client):
    done = await client("GetJob", f'{{"job_id": "{UNKNOWN}"}}')
    assert done.code != 0
    assert done.err == f"ERROR:\n  Code: NotFound\n  Message: there is no job {UNKNOWN}\n"


async def test_a_bad_request_names_its_fields(client):
    done = await client("SubmitJob", '{"job": {"payload_json": "{"}}')
    assert done.code != 0
    assert "  Code: InvalidArgument\n" in done.err
    _, _, details = done.err.partition("1)\t")
    (detail,) = documents(details)
    assert detail["@type"] == BAD_REQUEST
    assert [one["field"] for one in detail["field_violations"]] == ["job.type", "job.payload_json"]


# --- what only `scheduler call` does


@pytest.fixture
def call(api):
    return Call(api.port)


async def test_a_method_goes_by_any_of_its_names(call):
    names = ["ListJobs", "SchedulerService/ListJobs", f"{SERVICE}.ListJobs", f"/{SERVICE}/ListJobs"]
    assert {done.out for done in await asyncio.gather(*map(call, names))} == {"{}\n"}


async def test_methods_of_other_services_can_be_called(call):
    assert json.loads((await call("grpc.health.v1.Health/Check")).out)["status"]


async def test_a_method_that_takes_a_stream_takes_several_objects(call):
    done = await call(
        "ServerReflectionInfo", '{"list_services": ""} {"file_containing_symbol": "' + SERVICE + '"}'
    )
    first, second = documents(done.out)
    assert {"name": SERVICE} in first["list_services_response"]["service"]
    assert second["file_descriptor_response"]


async def test_the_request_comes_from_a_file_or_from_standard_input(api, call, tmp_path):
    (tmp_path / "request.json").write_text('{"page_size": 1}', "utf-8")
    await submit(api.app)
    await submit(api.app)
    from_file = await call("ListJobs", f"@{tmp_path}/request.json")
    assert len(json.loads(from_file.out)["jobs"]) == 1
    from_stdin = await scheduler(call.environment, "call", "ListJobs", "-", stdin='{"page_size": 2}')
    assert len(json.loads(from_stdin.out)["jobs"]) == 2
