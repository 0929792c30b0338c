"""`scheduler call`: what grpcurl does. Any method of a gRPC server, found by asking the server what it has.

    list services ─▶ the method's request and response types ─▶ JSON in ─▶ JSON out

Server reflection hands out the .proto files themselves, so nothing here knows the scheduler's API.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import grpc
import typer

from scheduler.cli.client import CALL_SECONDS, DEFAULT_ADDRESS, Address, connected, is_away
from scheduler.cli.failures import Misused, Refused
from scheduler.cli.jobs import read_text
from scheduler.cli.show import say

if TYPE_CHECKING:
    from google.protobuf.descriptor import MethodDescriptor
    from google.protobuf.descriptor_pool import DescriptorPool
    from google.protobuf.message import Message

REFLECTION = "grpc.reflection."


def call(
    method: Annotated[
        str,
        typer.Argument(
            metavar="METHOD", help="SubmitJob, or grpc.health.v1.Health/Check.", show_default=False
        ),
    ] = "",
    data: Annotated[
        str, typer.Argument(metavar="JSON", help="The request; @FILE reads a file, - standard input.")
    ] = "{}",
    list_services: Annotated[bool, typer.Option("--list", help="List the server's methods.")] = False,
    describe: Annotated[
        str, typer.Option(metavar="NAME", help="Describe a service, a method, a message or an enum.")
    ] = "",
    address: Address = DEFAULT_ADDRESS,
) -> None:
    """Call any method of the server, as grpcurl does.

    A stream prints each message as it comes. The method's service may be left
    out where only one service has a method of that name.

    Examples:

      scheduler call SubmitJob '{"job": {"type": "noop"}}'
      scheduler call scheduler.v1.SchedulerService/ListJobs '{"page_size": 2}'
      scheduler call grpc.health.v1.Health/Check
      scheduler call --list
      scheduler call --describe Job
    """
    from scheduler.cli.describe import describe_name, describe_services

    with connected(address) as channel:
        server = Server(channel, address)
        if list_services:
            lines = describe_services(server)
        elif describe:
            lines = describe_name(server, describe)
        elif method:
            _call(server, method, data)
            return
        else:
            raise Misused("give a METHOD, such as SubmitJob, or --list to see what there is")
        for line in lines:
            say(line)


class Server:
    """A server, and what it says of itself by reflection."""

    def __init__(self, channel: grpc.Channel, address: str) -> None:
        from google.protobuf.descriptor_pool import DescriptorPool
        from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
            ProtoReflectionDescriptorDatabase,
        )

        self.channel = channel
        database = ProtoReflectionDescriptorDatabase(channel)
        try:
            self.services = sorted(database.get_services())
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                raise Refused(
                    f"the server at {address} has no reflection, so its methods are unknown"
                ) from None
            raise
        self.pool: DescriptorPool = DescriptorPool(database)

    def methods(self) -> Iterator["MethodDescriptor"]:
        """Every method of every service."""
        for name in self.services:
            yield from self.pool.FindServiceByName(name).methods

    def method(self, name: str) -> "MethodDescriptor":
        """The method that `Method`, `Service/Method` or `package.Service.Method` names. Raises `Misused` if none is."""
        wanted = name.strip("/").replace("/", ".")
        found = [one for one in self.methods() if f".{one.full_name}".endswith(f".{wanted}")]
        if len(found) > 1 and all("." in wanted or one.full_name.startswith(REFLECTION) for one in found):
            found = found[:1]  # reflection has two versions with the same methods
        if not found:
            raise Misused(f"the server has no method {name}; `scheduler call --list` shows what it has")
        if len(found) > 1:
            raise Misused(
                f"several services have a method {name}: {', '.join(one.full_name for one in found)}"
            )
        return found[0]


def _call(server: Server, name: str, data: str) -> None:
    method = server.method(name)
    requests = _requests(server.pool, method, read_text(data))
    try:
        for answer in _invoke(server.channel, method, requests):
            say(to_json(answer, server.pool))
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.UNAVAILABLE and is_away(error.details() or ""):
            raise
        _show_error(error)
        raise typer.Exit(1) from None


def _invoke(
    channel: grpc.Channel, method: "MethodDescriptor", requests: list["Message"]
) -> Iterator["Message"]:
    from google.protobuf.message_factory import GetMessageClass

    assert method.containing_service is not None
    path = f"/{method.containing_service.full_name}/{method.name}"
    codec = {
        "request_serializer": lambda message: message.SerializeToString(),
        "response_deserializer": GetMessageClass(method.output_type).FromString,
    }
    one, many = requests[0] if requests else None, iter(requests)
    match method.client_streaming, method.server_streaming:
        case False, False:
            yield channel.unary_unary(path, **codec)(one, timeout=CALL_SECONDS)
        case False, True:
            yield from channel.unary_stream(path, **codec)(one)
        case True, False:
            yield channel.stream_unary(path, **codec)(many)
        case _:
            yield from channel.stream_stream(path, **codec)(many)


def _requests(pool: "DescriptorPool", method: "MethodDescriptor", text: str) -> list["Message"]:
    """The messages in `text`, which holds JSON objects one after another: one, unless the method takes a stream."""
    from google.protobuf import json_format
    from google.protobuf.message_factory import GetMessageClass

    documents = list(_documents(text))
    if not method.client_streaming and len(documents) != 1:
        raise Misused(f"{method.name} takes one JSON object, not {len(documents)}")
    requests = []
    for document in documents:
        if not isinstance(document, dict):
            raise Misused(f"{method.name} takes a JSON object, such as {{}}, and this is {_kind(document)}")
        try:
            requests.append(
                json_format.ParseDict(document, GetMessageClass(method.input_type)(), descriptor_pool=pool)
            )
        except json_format.ParseError as error:
            reason = str(error).partition(".  Available Fields")[0]
            raise Misused(f"the JSON is no {method.input_type.full_name}: {reason}") from None
    return requests


def _kind(document: Any) -> str:
    names = {list: "an array", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(document), "a number")


def _documents(text: str) -> Iterator[Any]:
    import json

    decoder = json.JSONDecoder()
    text = text.strip()
    while text:
        try:
            document, end = decoder.raw_decode(text)
        except (ValueError, RecursionError) as error:
            raise Misused(f"the request is not JSON: {error}") from None
        yield document
        text = text[end:].lstrip()


def to_json(message: "Message", pool: "DescriptorPool | None" = None) -> str:
    """A message as JSON, with the names of the .proto file, as grpcurl prints it for a server in Python."""
    from google.protobuf import json_format

    return json_format.MessageToJson(
        message, indent=2, ensure_ascii=False, preserving_proto_field_name=True, descriptor_pool=pool
    )


def _show_error(error: Any) -> None:
    """Write a status to standard error as grpcurl does, its details included."""
    typer.echo(f"ERROR:\n  Code: {_go_name(error.code())}\n  Message: {error.details()}", err=True)
    details = list(_details(error))
    if details:
        typer.echo("  Details:", err=True)
    for number, detail in enumerate(details, 1):
        typer.echo(f"  {number})\t" + detail.replace("\n", "\n    \t"), err=True)


def _details(error: Any) -> Iterator[str]:
    from google.rpc import error_details_pb2  # noqa: F401 (json_format finds its messages by their names)
    from grpc_status import rpc_status

    status = rpc_status.from_call(error)
    for detail in status.details if status is not None else ():
        try:
            yield to_json(detail)
        except TypeError:
            yield f"(a {detail.TypeName()}, which is not known here)"


def _go_name(code: grpc.StatusCode) -> str:
    """The name that Go, and with it grpcurl, has for a code: NotFound for NOT_FOUND."""
    return "Canceled" if code is grpc.StatusCode.CANCELLED else code.name.title().replace("_", "")
