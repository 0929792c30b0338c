"""The contract: generated code that matches it, numbers that never change, and a comment on everything."""

import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2
from scheduler.v1 import scheduler_pb2 as pb

from tests.patience import SECONDS

ROOT = Path(__file__).parents[2]
PROTO = Path("scheduler/v1/scheduler.proto")
GENERATED = ["scheduler_pb2.py", "scheduler_pb2.pyi", "scheduler_pb2_grpc.py", "scheduler_pb2_grpc.pyi"]


def protoc(*arguments):
    pytest.importorskip("grpc_tools")
    pytest.importorskip("mypy_protobuf")
    # The plugins lie beside this Python, whether or not its environment is active.
    plugins = [
        f"--plugin=protoc-gen-{name}={found}"
        for name in ("mypy", "mypy_grpc")
        if (found := shutil.which(f"protoc-gen-{name}", path=str(Path(sys.executable).parent)))
    ]
    command = [
        sys.executable,
        *("-X", "utf8"),  # protoc takes its arguments for UTF-8 in any locale
        "-m",
        "grpc_tools.protoc",
        *plugins,
        "-I",
        str(ROOT / "proto"),
        *map(str, arguments),
    ]
    subprocess.run(command, check=True, cwd=ROOT, timeout=SECONDS)


@pytest.fixture(scope="module")
def regenerated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generated")
    kinds = ("python", "mypy", "grpc_python", "mypy_grpc")
    protoc(*[f"--{kind}_out={folder}" for kind in kinds], ROOT / "proto" / PROTO)
    return folder / "scheduler" / "v1"


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    """The .proto's own description of itself, comments included."""
    path = tmp_path_factory.mktemp("described") / "set.pb"
    protoc("--include_source_info", f"--descriptor_set_out={path}", ROOT / "proto" / PROTO)
    return descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes()).file[0]


@pytest.mark.parametrize("name", GENERATED)
def test_the_committed_code_is_what_protoc_makes_of_the_proto_now(regenerated, name):
    committed = (ROOT / "reference" / "scheduler" / "v1" / name).read_bytes()
    assert committed == (regenerated / name).read_bytes(), "run `make proto`"


def test_protoc_makes_no_other_file(regenerated):
    assert sorted(path.name for path in regenerated.iterdir()) == sorted(GENERATED)


@pytest.mark.parametrize("name", GENERATED)
def test_the_generated_code_is_part_of_the_package(name):
    assert files("scheduler.v1").joinpath(name).is_file()


def test_everything_has_a_comment_or_stands_in_something_that_has(described):
    commented = {
        tuple(location.path)
        for location in described.source_code_info.location
        if location.leading_comments.strip() or location.trailing_comments.strip()
    }

    def is_explained(*path):
        return any(path[:end] in commented for end in range(2, len(path) + 1, 2))

    bare = []
    for m, message in enumerate(described.message_type):
        bare += [
            f"{message.name}.{one.name}"
            for f, one in enumerate(message.field)
            if not is_explained(4, m, 2, f)
        ]
    for e, enum in enumerate(described.enum_type):
        bare += [
            f"{enum.name}.{one.name}" for v, one in enumerate(enum.value) if not is_explained(5, e, 2, v)
        ]
    for s, service in enumerate(described.service):
        bare += [
            f"{service.name}.{one.name}"
            for r, one in enumerate(service.method)
            if not is_explained(6, s, 2, r)
        ]
    assert bare == []


MESSAGES = {
    "Job": "job_id 1, type 2, priority 3, payload_json 4, idempotency_key 5, max_attempts 6",
    "JobStatus": (
        "job_id 1, state 2, attempts 3, last_error 4, created_at 5, updated_at 6, started_at 7, finished_at 8, "
        "type 9, priority 10, max_attempts 11, next_run_at 12, version 13"
    ),
    "JobEvent": "job_id 1, state 2, message 3, timestamp 4, attempts 5, version 6",
    "SubmitJobRequest": "job 1",
    "SubmitJobResponse": "job_id 1",
    "SubmitJobsRequest": "jobs 1",
    "SubmitJobsResponse": "job_ids 1",
    "GetJobRequest": "job_id 1",
    "WatchJobRequest": "job_id 1, after_version 2",
    "CancelJobRequest": "job_id 1",
    "CancelJobResponse": "cancelled 1",
    "RequeueJobRequest": "job_id 1",
    "RequeueJobResponse": "requeued 1",
    "ListJobsRequest": "state_filter 1, priority_filter 2, type_filter 3, page_size 4, page_token 5",
    "ListJobsResponse": "jobs 1, next_page_token 2",
}
ENUMS = {
    "Priority": "PRIORITY_UNSPECIFIED 0, PRIORITY_CRITICAL 1, PRIORITY_HIGH 2, PRIORITY_DEFAULT 3, PRIORITY_LOW 4",
    "JobState": (
        "JOB_STATE_UNSPECIFIED 0, JOB_STATE_QUEUED 1, JOB_STATE_RUNNING 2, JOB_STATE_SUCCEEDED 3, "
        "JOB_STATE_FAILED 4, JOB_STATE_DEADLETTER 5, JOB_STATE_CANCELLED 6, JOB_STATE_RETRY 7"
    ),
}
METHODS = {
    "SubmitJob": ("SubmitJobRequest", "SubmitJobResponse", False),
    "GetJob": ("GetJobRequest", "JobStatus", False),
    "WatchJob": ("WatchJobRequest", "JobEvent", True),
    "CancelJob": ("CancelJobRequest", "CancelJobResponse", False),
    "ListJobs": ("ListJobsRequest", "ListJobsResponse", False),
    "SubmitJobs": ("SubmitJobsRequest", "SubmitJobsResponse", False),
    "RequeueJob": ("RequeueJobRequest", "RequeueJobResponse", False),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_the_fields_of_a_message_have_the_numbers_that_they_will_always_have(name):
    fields = pb.DESCRIPTOR.message_types_by_name[name].fields
    assert ", ".join(f"{field.name} {field.number}" for field in fields) == MESSAGES[name]


@pytest.mark.parametrize("name", ENUMS)
def test_the_values_of_an_enum_have_the_numbers_that_they_will_always_have(name):
    values = pb.DESCRIPTOR.enum_types_by_name[name].values
    assert ", ".join(f"{value.name} {value.number}" for value in values) == ENUMS[name]


def test_there_are_no_other_messages_and_enums():
    assert set(pb.DESCRIPTOR.message_types_by_name) == set(MESSAGES)
    assert set(pb.DESCRIPTOR.enum_types_by_name) == set(ENUMS)


def test_the_service_has_these_methods_and_no_others():
    assert pb.DESCRIPTOR.package == "scheduler.v1"
    [service] = pb.DESCRIPTOR.services_by_name.values()
    assert service.full_name == "scheduler.v1.SchedulerService"
    found = {
        method.name: (method.input_type.name, method.output_type.name, method.server_streaming)
        for method in service.methods
    }
    assert found == METHODS
    assert not any(method.client_streaming for method in service.methods)


INTS = {"attempts": "TYPE_INT32", "max_attempts": "TYPE_INT32", "page_size": "TYPE_INT32"}
INTS |= {"version": "TYPE_INT64", "after_version": "TYPE_INT64"}


def test_counts_are_int32_versions_int64_and_times_timestamps():
    for message in pb.DESCRIPTOR.message_types_by_name.values():
        for field in message.fields:
            if field.name in INTS:
                assert field.type == getattr(field, INTS[field.name]), field.full_name
            if field.name.endswith("_at") or field.name == "timestamp":
                assert field.message_type.full_name == "google.protobuf.Timestamp"
