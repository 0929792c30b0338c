"""Settings, read once from the environment: what they mean, their units and their limits."""

from typing import Annotated, Any, Literal, Self

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Port = Annotated[int, Field(ge=0, le=65_535)]
SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]
Pooler = Literal["none", "session", "transaction"]
Count = Annotated[int, Field(ge=1, le=100_000)]


class ConfigError(Exception):
    """A setting is missing or wrong. The message names the environment variable and what would be right."""


class Settings(BaseSettings):
    """Every setting of the scheduler. Each field is read from the environment variable of its name in upper case.

    An empty variable counts as unset. Times are in seconds. Passwords are `SecretStr`: they show as stars in a repr,
    in a log and in a traceback.
    """

    model_config = SettingsConfigDict(
        frozen=True, env_ignore_empty=True, hide_input_in_errors=True, extra="ignore"
    )

    # Where the API listens. Port 0 takes a free one.
    grpc_host: str = "127.0.0.1"
    grpc_port: Port = 8081
    metrics_host: str = "127.0.0.1"
    metrics_port: Port | None = None
    """Left out, it is 2112 for the API and 2113 for a worker."""

    liveness_seconds: Seconds = 15
    """How long the event loop may stand still before `/healthz` says no."""

    # Where the services are. DATABASE_URL wins over COCKROACHDB_*.
    database_url: SecretStr | None = None
    cockroachdb_host: str | None = None
    cockroachdb_port: Port = 26257
    cockroachdb_user: str = "root"
    cockroachdb_password: SecretStr | None = None
    cockroachdb_database: str = "scheduler"
    cockroachdb_sslmode: SslMode = "verify-full"
    database_pooler: Pooler = "none"
    """Whether PgBouncer, or its like, stands before the database, and how it deals out its connections."""
    database_pool_size: Annotated[int, Field(ge=3, le=100_000)] = 10
    """How many connections a process has at most."""
    database_guest_connections: Count | None = None
    """How many of them ListJobs (in an API) and handlers (in a worker) may hold at once. Left out, two in five."""
    database_wait_seconds: Seconds = 3
    """How long a call waits for a database that is away before it gives up with UNAVAILABLE."""

    redis_host: str | None = None
    redis_port: Port = 6379
    redis_password: SecretStr | None = None
    redis_db: Annotated[int, Field(ge=0)] = 0
    redis_prefix: Annotated[str, Field(max_length=100, pattern=r"^[!-~]*$")] = ""
    """What the names of all keys and channels begin with, so that several schedulers can share one Redis."""

    # The API.
    watch_poll_seconds: Seconds = 1
    """How often a watch looks into the database when no hint wakes it earlier."""
    max_unary_calls: Count = 2_000
    max_watches: Count = 10_000
    max_inflight_mib: Annotated[int, Field(ge=32, le=100_000)] = 48
    """How many MiB of requests are worked on at once. A single request may have 32."""
    keepalive_seconds: Seconds = 20
    """A connection on which nothing came for so long is asked whether somebody is there."""
    keepalive_timeout_seconds: Seconds = 10
    """How long it has for its answer; then it is closed, and its watches end."""
    max_connection_age_seconds: Seconds = 600
    """After this, a little more or less, a client is sent to a new connection, so that it finds new replicas."""
    max_connection_age_grace_seconds: Seconds = 3_600
    """How long calls and watches may go on on the old one."""
    drain_pause_seconds: Annotated[float, Field(ge=0, le=86_400)] = 2
    """How long a stopping API goes on as usual, not ready, so that a balancer sees it and sends nobody any more."""
    shutdown_grace_seconds: Seconds = 10
    """How long a stopping API waits for calls, and a stopping worker for handlers, before it cancels them."""

    # The worker.
    worker_pool_size: Annotated[int, Field(ge=1, le=10_000)] = 100
    """How many handlers run at once."""
    handler_timeout_seconds: Seconds = 30
    lease_seconds: Seconds = 15
    """How long a job stays a worker's without a heartbeat."""
    heartbeat_seconds: Seconds = 3
    poll_seconds: Seconds = 0.5
    """How often the retry pump and the reaper look for work that is due."""
    reconcile_seconds: Seconds = 5
    reconcile_age_seconds: Seconds = 30
    """How much older than every queued entry a push must be before its entry counts as lost."""
    retry_base_seconds: Seconds = 1
    retry_cap_seconds: Seconds = 300
    unknown_type_seconds: Seconds = 60
    """How long a worker leaves a job to others for whose type it has no handler."""
    http_call_allow_private: bool = False
    """Lets `http_call` reach private and loopback addresses."""

    @model_validator(mode="after")
    def _a_lease_outlives_three_heartbeats(self) -> Self:
        # Two heartbeats may be lost on the way and the job must still be ours.
        shortest = round(3 * self.heartbeat_seconds, 6)  # 3 * 0.1 is a little more than 0.3
        if self.lease_seconds < shortest:
            raise ValueError(
                f"LEASE_SECONDS must be at least three times HEARTBEAT_SECONDS "
                f"({shortest:g}), not {self.lease_seconds:g}"
            )
        return self

    @model_validator(mode="after")
    def _guests_leave_some_connections(self) -> Self:
        if self.database_guest_connections is not None:
            most = self.database_pool_size - 2
            if self.database_guest_connections > most:
                raise ValueError(
                    f"DATABASE_GUEST_CONNECTIONS must be at least two less than DATABASE_POOL_SIZE "
                    f"({most} at most), not {self.database_guest_connections}"
                )
        return self

    @property
    def database_guests(self) -> int:
        """How many connections guests share: see `App.guest`."""
        return self.database_guest_connections or max(1, self.database_pool_size * 2 // 5)

    @property
    def database_own_connections(self) -> int:
        """How many are left for the scheduler's own statements, beside the one that asks whether the database is up."""
        return max(1, self.database_pool_size - self.database_guests - 1)

    @classmethod
    def from_environment(cls, **overrides: Any) -> Self:
        """Read the environment; keyword arguments win over it. Raises `ConfigError` with one sentence a mistake."""
        try:
            return cls(**overrides)
        except ValidationError as error:
            raise ConfigError("; ".join(map(_sentence, error.errors(include_url=False)))) from None

    def database_conninfo(self) -> str:
        """How libpq reaches the database, password included: pass it on, never print it.

        Raises `ConfigError` if no address is set, or one that can't be read.
        """
        if self.database_url is not None:
            return _checked(self.database_url.get_secret_value())
        if self.cockroachdb_host is None:
            raise ConfigError(
                "DATABASE_URL is not set: give the database's address, such as postgresql://user@host:5432/scheduler "
                "(or set COCKROACHDB_HOST). `scheduler up` starts a database of its own."
            )
        password = self.cockroachdb_password
        # Not as a URL: whatever is wrong in one of them, an error about the URL would quote them all.
        return make_conninfo(
            host=_without_brackets(self.cockroachdb_host),
            port=self.cockroachdb_port,
            user=self.cockroachdb_user,
            password=password.get_secret_value() if password is not None else None,
            dbname=self.cockroachdb_database,
            sslmode=self.cockroachdb_sslmode,
        )

    def redis_address(self) -> dict[str, Any]:
        """Host, port, password and database number, as redis-py's client takes them.

        Raises `ConfigError` if no host is set.
        """
        if self.redis_host is None:
            raise ConfigError(
                "REDIS_HOST is not set: give the host that Redis runs on, such as 127.0.0.1. "
                "`scheduler up` starts a Redis of its own."
            )
        return {
            "host": self.redis_host,
            "port": self.redis_port,
            "db": self.redis_db,
            "password": self.redis_password.get_secret_value() if self.redis_password is not None else None,
        }


ADDRESS = "DATABASE_URL should be an address such as postgresql://user@host:5432/scheduler"
ESCAPED = f"{ADDRESS}; where the password has a @, a / or a % in it, write %40, %2F and %25"


def _checked(address: str) -> str:
    """The address, if it can be read. libpq's own errors would quote it, or what it takes for its host or its port.

    A password with a `/` or an `@` in it ends too early, and its rest becomes part of the host, the port or the name.
    """
    place = address.partition("://")[2].partition("?")[0]
    authority = place.partition("/")[0]
    if place.count("@") > min(1, authority.count("@")):
        raise ConfigError(ESCAPED)
    try:
        ports = str(conninfo_to_dict(address).get("port") or "")
    except ProgrammingError:
        raise ConfigError(ESCAPED if "@" in address else ADDRESS) from None
    if not all(port.isdecimal() or not port for port in ports.split(",")):
        raise ConfigError(ADDRESS)
    return address


def _without_brackets(host: str) -> str:
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def _sentence(error: Any) -> str:
    if not error["loc"]:
        return str(error["msg"]).removeprefix("Value error, ")
    name = str(error["loc"][0]).upper()
    message = str(error["msg"]).removeprefix("Input ").removeprefix("should ")
    return f"{name} should {message}"
