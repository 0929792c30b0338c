"""Where servers listen: addresses of both families, and which variable is wrong when it can't be done."""

import errno
import socket
from typing import Any

from scheduler.config import ConfigError


def bare(host: str) -> str:
    """A host as the system takes it: an IPv6 address without its brackets."""
    return host.removeprefix("[").removesuffix("]") if host.startswith("[") else host


def joined(host: str, port: int) -> str:
    """`host:port`, with brackets around an IPv6 address."""
    return f"[{bare(host)}]:{port}" if ":" in bare(host) else f"{host}:{port}"


def family(host: str) -> socket.AddressFamily:
    """IPv4 or IPv6. Raises `OSError` if the host has no address."""
    return addresses(host, 0)[0][0]


def mistake(prefix: str, host: str, port: int) -> ConfigError:
    """Why nobody can listen there: a sentence that names `PREFIX_HOST` or `PREFIX_PORT`, whichever is wrong."""
    try:
        for kind, address in addresses(host, port):
            with socket.socket(kind) as tried:
                tried.bind(address)
    except OSError as error:
        if error.errno == errno.EACCES:
            return ConfigError(f"{prefix}_PORT: this account may not listen on {port}; choose one above 1023")
        if error.errno != errno.EADDRINUSE:
            return ConfigError(
                f"{prefix}_HOST: {host} is no address of this machine, so nothing can listen there"
            )
    return ConfigError(f"{prefix}_PORT: can't listen on {joined(host, port)}; choose a port that is free")


def addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, tuple[Any, ...]]]:
    """The addresses of a host, as sockets take them. Raises `OSError` if it has none."""
    try:
        found = socket.getaddrinfo(bare(host), port, type=socket.SOCK_STREAM)
    except UnicodeError:  # a name with a label that DNS can't have
        raise socket.gaierror(socket.EAI_NONAME, "no such name") from None
    return [(kind, address) for kind, _, _, _, address in found]
