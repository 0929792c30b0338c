"""`scheduler call --list` and `--describe`: what a server has, in the words of a .proto file."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from scheduler.cli.failures import Misused

if TYPE_CHECKING:
    from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor

    from scheduler.cli.call import Server


def describe_services(server: "Server") -> Iterator[str]:
    """Every service with its methods."""
    for name in server.services:
        yield name
        yield from (f"  {method.name}" for method in server.pool.FindServiceByName(name).methods)


def describe_name(server: "Server", name: str) -> Iterator[str]:
    """One service, method, message or enum, by its full or its short name. Raises `Misused` if there is none."""
    wanted = name.strip("/").replace("/", ".")
    for kind, things in _everything(server).items():
        for full_name, thing in things.items():
            if f".{full_name}".endswith(f".{wanted}"):
                return _DESCRIBE[kind](thing)
    raise Misused(f"the server has no {name}; `scheduler call --list` shows its services")


def _everything(server: "Server") -> dict[str, dict[str, Any]]:
    services = [server.pool.FindServiceByName(name) for name in server.services]
    found: dict[str, dict[str, Any]] = {"service": {}, "method": {}, "message": {}, "enum": {}}
    for service in services:
        found["service"][service.full_name] = service
        for method in service.methods:
            found["method"][method.full_name] = method
            _collect(method.input_type, found)
            _collect(method.output_type, found)
    return found


def _collect(message: Any, found: dict[str, dict[str, Any]]) -> None:
    """Note a message, and all that its fields mention."""
    if message.full_name in found["message"]:
        return
    found["message"][message.full_name] = message
    for field in message.fields:
        if field.message_type is not None:
            _collect(field.message_type, found)
        if field.enum_type is not None:
            found["enum"][field.enum_type.full_name] = field.enum_type


def _service(service: Any) -> Iterator[str]:
    yield f"service {service.full_name} {{"
    yield from (f"  {_rpc(method)}" for method in service.methods)
    yield "}"


def _method(method: Any) -> Iterator[str]:
    yield _rpc(method)
    yield ""
    yield from _message(method.input_type)
    yield ""
    yield from _message(method.output_type)


def _message(message: Any) -> Iterator[str]:
    yield f"message {message.full_name} {{"
    yield from (f"  {_type(field)} {field.name} = {field.number};" for field in message.fields)
    yield "}"


def _enum(enum: Any) -> Iterator[str]:
    yield f"enum {enum.full_name} {{"
    yield from (f"  {value.name} = {value.number};" for value in enum.values)
    yield "}"


_DESCRIBE = {"service": _service, "method": _method, "message": _message, "enum": _enum}


def _rpc(method: "MethodDescriptor") -> str:
    takes = "stream " * method.client_streaming + method.input_type.full_name
    gives = "stream " * method.server_streaming + method.output_type.full_name
    return f"rpc {method.name}({takes}) returns ({gives});"


def _type(field: "FieldDescriptor") -> str:
    named = field.message_type or field.enum_type
    name = named.full_name if named is not None else _SCALARS[field.type]
    return f"repeated {name}" if field.is_repeated else name


# The numbers of descriptor.proto.
_SCALARS = {
    1: "double",
    2: "float",
    3: "int64",
    4: "uint64",
    5: "int32",
    6: "fixed64",
    7: "fixed32",
    8: "bool",
    9: "string",
    12: "bytes",
    13: "uint32",
    15: "sfixed32",
    16: "sfixed64",
    17: "sint32",
    18: "sint64",
}
