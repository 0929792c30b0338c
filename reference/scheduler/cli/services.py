"""Where the database and Redis are: in the environment, or in the data folder of `scheduler up`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from scheduler import embedded
from scheduler.cli.failures import Refused
from scheduler.config import Settings

NOTHING_RUNS = (
    "no services are running here and no address is set: `scheduler up` or `workbook serve` starts them"
)


@contextmanager
def started(say: Callable[[str], None]) -> Iterator[Settings]:
    """Settings whose services run: those of the environment, and embedded ones where it names none.

    What this starts ends with the block.
    """
    settings = Settings.from_environment()
    if _has_database(settings) and _has_redis(settings):
        say("Using the database and the Redis that the environment names.")
        yield settings
        return
    folder = embedded.default_folder()
    say(f"Data folder: {folder}")
    with embedded.start(folder, say=say) as own:
        if not own.owned:
            say("Its services run already: they are shared, and end with the command that started them.")
        yield _completed(settings, own.services)


def found() -> Settings:
    """Settings whose services run: those of the environment, else those of a running `scheduler up`.

    Raises `Refused` if there are neither. For commands that need one of the two services, the other may be missing.
    """
    settings = Settings.from_environment()
    if _has_database(settings) and _has_redis(settings):
        return settings
    services = embedded.find(embedded.default_folder())
    return settings if services is None else _completed(settings, services)


def found_database() -> Settings:
    """Settings with a database. Raises `Refused` if none is set and none runs."""
    settings = found()
    if not _has_database(settings):
        raise Refused(NOTHING_RUNS)
    return settings


def found_redis() -> Settings:
    """Settings with a Redis. Raises `Refused` if none is set and none runs."""
    settings = found()
    if not _has_redis(settings):
        raise Refused(NOTHING_RUNS)
    return settings


def are_of_one_system() -> bool:
    """Whether the environment names both services or neither. One of each kind need not know the same jobs."""
    settings = Settings.from_environment()
    return _has_database(settings) == _has_redis(settings)


def _completed(settings: Settings, services: embedded.Services) -> Settings:
    own: dict[str, Any] = {}
    if not _has_database(settings):
        embedded.forget_other_servers()
        own["database_url"] = services.database_url
    if not _has_redis(settings):
        own |= {
            "redis_host": services.redis_host,
            "redis_port": services.redis_port,
            "redis_password": services.redis_password,
        }
    return Settings.from_environment(**own)


def _has_database(settings: Settings) -> bool:
    return settings.database_url is not None or settings.cockroachdb_host is not None


def _has_redis(settings: Settings) -> bool:
    return settings.redis_host is not None
