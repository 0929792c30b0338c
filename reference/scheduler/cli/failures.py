"""Failures that are to be expected: each is one sentence on standard error and an exit code, never a stack trace."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

REFUSED = 1
MISUSED = 2


class Failure(Exception):
    """Ends the command. The message is the sentence that the user reads."""

    code = REFUSED


class Refused(Failure):
    """The server said no, or is away: exit code 1."""


class Misused(Failure):
    """The command line or a setting is wrong: exit code 2."""

    code = MISUSED


@contextmanager
def expected() -> Iterator[None]:
    """Turn what settings and services raise into a `Failure`. For commands that reach the services themselves."""
    import psycopg
    from redis.exceptions import RedisError

    from scheduler.config import ConfigError
    from scheduler.embedded import EmbeddedError
    from scheduler.migrations import SchemaMissing

    try:
        yield
    except ConfigError as error:
        raise Misused(str(error)) from None
    except (EmbeddedError, SchemaMissing) as error:
        raise Refused(str(error)) from None
    except RedisError as error:
        raise Refused(_redis_sentence(error)) from None
    except psycopg.OperationalError as error:
        raise Refused(_database_sentence(error)) from None
    except psycopg.Error as error:  # an address that is none, or an account without the rights
        reason = first_line(error)
        raise Refused(f"the database can't be used ({reason}): see {_database_variables(reason)}") from None


def _redis_sentence(error: Exception) -> str:
    from scheduler.config import Settings

    settings = Settings.from_environment()
    place = f"{settings.redis_host}:{settings.redis_port} " if settings.redis_host else ""
    return f"Redis {place}can't be used ({first_line(error)}): see {_redis_variables(error)}"


def _redis_variables(error: Exception) -> str:
    """Which of the variables is wrong, as far as Redis says it."""
    from redis.exceptions import AuthenticationError, AuthorizationError, NoPermissionError

    text = str(error)
    if "DB index" in text:
        return "REDIS_DB"
    if isinstance(error, AuthenticationError | AuthorizationError | NoPermissionError) or text.startswith(
        ("WRONGPASS", "NOAUTH", "ERR AUTH", "invalid username-password")
    ):
        return "REDIS_PASSWORD"
    return "REDIS_HOST and REDIS_PORT"


def _database_sentence(error: Exception) -> str:
    """Say why the database can't be reached. The pool only knows that it waited in vain, so ask once more, alone."""
    import psycopg

    from scheduler.config import ConfigError, Settings
    from scheduler.connections import parameters

    reason = first_line(error)
    try:
        settings = Settings.from_environment()
        psycopg.connect(settings.database_conninfo(), **parameters(settings)).close()
    except psycopg.Error as direct:
        reason = first_line(direct)
    except ConfigError:
        pass
    if "unsupported startup parameter" in reason:
        return f"the database can't be reached ({reason}): if that is PgBouncer, set DATABASE_POOLER to its pool_mode"
    return f"the database can't be reached ({reason}): see {_database_variables(reason)}"


def _database_variables(reason: str) -> str:
    """Which of the variables is wrong, as far as libpq or the server says it."""
    from scheduler.config import ConfigError, Settings

    try:
        if Settings.from_environment().database_url is not None:
            return "DATABASE_URL"
    except ConfigError:
        return "DATABASE_URL"
    if re.search(r'database ".*" does not exist', reason):
        return "COCKROACHDB_DATABASE"
    if "SSL" in reason or "certificate" in reason:
        return "COCKROACHDB_SSLMODE"
    if any(word in reason for word in ("password", "role ", "user ")):
        return "COCKROACHDB_USER and COCKROACHDB_PASSWORD"
    return "COCKROACHDB_HOST and COCKROACHDB_PORT"


def first_line(error: Exception) -> str:
    """The gist of an error that libpq or redis-py describes at length."""
    line = str(error).strip().split("\n")[0].removeprefix("connection failed: ")
    return line.rstrip(".,:") or type(error).__name__
