"""Blocks that are no commands: each language has a check, and a language without one is a fault."""

import json
import re
import tomllib
from collections.abc import Callable, Iterator

import psycopg
import pytest
from scheduler.config import Settings
from scheduler.v1 import scheduler_pb2 as pb

from tests.docs import mermaid, usage
from tests.docs.pages import ROOT

POWERSHELL = r"py -m venv \.venv|\.venv\\Scripts\\Activate\.ps1"
INSTRUCTIONS = ("FROM", "COPY", "RUN", "ENV", "USER", "CMD", "ENTRYPOINT", "WORKDIR", "ARG")


def of_json(text: str) -> Iterator[str]:
    try:
        json.loads(text)
    except ValueError as error:
        yield str(error)


def of_toml(text: str) -> Iterator[str]:
    try:
        tomllib.loads(text)
    except ValueError as error:
        yield str(error)


def of_yaml(text: str) -> Iterator[str]:
    yaml = pytest.importorskip("yaml", reason="PyYAML reads it: pip install pyyaml")
    try:
        list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        yield str(error)


def of_proto(text: str) -> Iterator[str]:
    """The messages, enums, methods and fields of a fragment are those of the API."""
    file = pb.DESCRIPTOR
    messages = {**file.message_types_by_name}
    known = {*messages, *file.enum_types_by_name, *file.services_by_name}
    known |= {field for message in messages.values() for field in message.fields_by_name}
    known |= {value for enum in file.enum_types_by_name.values() for value in enum.values_by_name}
    known |= {method for service in file.services_by_name.values() for method in service.methods_by_name}
    code = re.sub(r"//.*", "", text)
    named = re.findall(r"\b(?:message|enum|rpc|service) (\w+)|(\w+) *= *\d+", code)
    yield from (f"the API has no {name}" for pair in named for name in pair if name and name not in known)


def of_sql(text: str, settings: Settings) -> Iterator[str]:
    """Run it on a real database, and take it back."""
    with psycopg.connect(settings.database_conninfo()) as connection:
        try:
            connection.execute(text.encode())
        except psycopg.Error as error:
            yield str(error)
        connection.rollback()


def of_powershell(text: str) -> Iterator[str]:
    for line in filter(None, text.splitlines()):
        if re.fullmatch(POWERSHELL, line):
            continue
        if line.split()[0] not in ("pip", "scheduler", "workbook", "pytest"):
            yield f"nobody has looked at {line!r}"
        elif fault := usage.fault(line):
            yield f"{line}: {fault}"


def of_dockerfile(text: str) -> Iterator[str]:
    """Instructions that exist, on the image that compose.yaml builds."""
    for line in filter(None, text.splitlines()):
        if line.split()[0] not in INSTRUCTIONS:
            yield f"{line!r} is no instruction"
    image = re.search(r"^FROM (\S+)", text, re.MULTILINE)
    if not image or image[1] != usage.composed()["services"]["api"]["image"]:
        yield "it does not begin with the image of compose.yaml"


def of_codeowners(text: str) -> Iterator[str]:
    for line in filter(None, text.splitlines()):
        if not any(ROOT.glob(line.split()[0].strip("/"))):
            yield f"{line.split()[0]} is the path of nothing"


CHECKS: dict[str, Callable[[str], Iterator[str]]] = {
    "codeowners": of_codeowners,
    "dockerfile": of_dockerfile,
    "json": of_json,
    "mermaid": mermaid.faults,
    "powershell": of_powershell,
    "proto": of_proto,
    "toml": of_toml,
    "yaml": of_yaml,
}
ELSEWHERE = ("bash", "console", "python", "sh", "sql", "text")
"""Languages that need more than their text: test_documents.py has a test for each."""


def faults(language: str, text: str) -> Iterator[str]:
    """A sentence for each thing that is wrong with a block."""
    if language in CHECKS:
        yield from CHECKS[language](text)
    elif language not in ELSEWHERE:
        yield f"nobody checks blocks of the language {language!r}: see tests/docs/formats.py"
