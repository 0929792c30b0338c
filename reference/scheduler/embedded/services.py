"""What a start gives back: where the services are, how to end them, or why there are none."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scheduler.embedded.supervised import Supervised

HOST = "127.0.0.1"


class EmbeddedError(Exception):
    """Services could not be started or found. The message is a sentence that also names the remedy."""


@dataclass(frozen=True, repr=False)
class Services:
    """Where the services are. Its repr shows no password."""

    database_url: str
    redis_host: str
    redis_port: int
    redis_password: str

    def environment(self) -> dict[str, str]:
        """The variables that `Settings` reads."""
        return {
            "DATABASE_URL": self.database_url,
            "REDIS_HOST": self.redis_host,
            "REDIS_PORT": str(self.redis_port),
            "REDIS_PASSWORD": self.redis_password,
        }

    def __repr__(self) -> str:
        database = re.sub(r":[^:@/]*@", ":***@", self.database_url)
        return f"Services(database_url={database!r}, redis='{self.redis_host}:{self.redis_port}')"


def forget_other_servers() -> None:
    """Take libpq's own variables (PGSSLMODE, PGSERVICE …) out of this process's environment, and of what it starts.

    Call this before connecting to an embedded server. They are about some other one, and libpq heeds them wherever an
    address is silent; PGSERVICE it heeds whatever the address says.
    """
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]


class Embedded:
    """Services, and the servers among them that this call of `start` started: `close` ends those and no others."""

    def __init__(self, services: Services, started: list[Supervised]) -> None:
        self.services = services
        self.owned = bool(started)
        self._started = started

    def close(self) -> None:
        """End what this call started. Joined servers go on. Calling it again does nothing."""
        for supervised in self._started:
            supervised.close()

    def __enter__(self) -> Embedded:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
