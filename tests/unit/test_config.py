"""Settings from the environment: defaults, limits, sentences for mistakes, and secrets that stay secret."""

import re

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from scheduler.config import ConfigError, Settings

NAMES = [name.upper() for name in Settings.model_fields]
SECRET = "hunter2-p@ss/w:o?r#d %20é'\"\\"


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def mistake(**overrides):
    with pytest.raises(ConfigError) as caught:
        Settings.from_environment(**overrides)
    return str(caught.value)


DEFAULTS = {
    "grpc_port": 8081,
    "metrics_port": None,
    "database_url": None,
    "cockroachdb_host": None,
    "cockroachdb_port": 26257,
    "redis_host": None,
    "redis_port": 6379,
    "redis_password": None,
    "redis_db": 0,
    "grpc_host": "127.0.0.1",
    "metrics_host": "127.0.0.1",
    "watch_poll_seconds": 1,
    "http_call_allow_private": False,
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_setting_that_nobody_gives_has_its_default(name):
    assert getattr(Settings.from_environment(), name) == DEFAULTS[name]


def test_the_default_lease_outlives_three_heartbeats():
    settings = Settings.from_environment()
    assert settings.lease_seconds >= 3 * settings.heartbeat_seconds


ENVIRONMENT = {
    "GRPC_PORT": ("9000", 9000),
    "METRICS_PORT": ("0", 0),
    "REDIS_HOST": ("redis.internal", "redis.internal"),
    "REDIS_PORT": ("6380", 6380),
    "REDIS_DB": ("7", 7),
    "COCKROACHDB_HOST": ("db", "db"),
    "COCKROACHDB_PORT": ("1", 1),
    "COCKROACHDB_USER": ("me", "me"),
    "COCKROACHDB_DATABASE": ("mine", "mine"),
    "COCKROACHDB_SSLMODE": ("disable", "disable"),
    "WORKER_POOL_SIZE": ("3", 3),
    "HANDLER_TIMEOUT_SECONDS": ("0.5", 0.5),
    "LEASE_SECONDS": ("60", 60),
    "HEARTBEAT_SECONDS": ("5", 5),
    "POLL_SECONDS": ("0.25", 0.25),
    "SHUTDOWN_GRACE_SECONDS": ("1", 1),
    "MAX_UNARY_CALLS": ("10", 10),
    "MAX_WATCHES": ("11", 11),
    "HTTP_CALL_ALLOW_PRIVATE": ("true", True),
}


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_a_setting_is_read_from_its_variable(monkeypatch, name):
    text, value = ENVIRONMENT[name]
    monkeypatch.setenv(name, text)
    assert getattr(Settings.from_environment(), name.lower()) == value


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_variable_counts_as_unset(monkeypatch, name):
    monkeypatch.setenv(name, "")
    assert getattr(Settings.from_environment(), name.lower()) == Settings.model_fields[name.lower()].default


def test_a_keyword_wins_over_the_environment(monkeypatch):
    monkeypatch.setenv("GRPC_PORT", "9000")
    assert Settings.from_environment(grpc_port=9001).grpc_port == 9001


def test_other_variables_are_none_of_its_business(monkeypatch):
    monkeypatch.setenv("GRPC_PORTS", "nonsense")
    assert Settings.from_environment().grpc_port == 8081


def test_settings_do_not_change():
    with pytest.raises(Exception, match="frozen"):
        Settings.from_environment().grpc_port = 1


def test_guests_leave_connections_for_the_scheduler_itself(monkeypatch):
    monkeypatch.setenv("DATABASE_GUEST_CONNECTIONS", "9")
    assert mistake() == (
        "DATABASE_GUEST_CONNECTIONS must be at least two less than DATABASE_POOL_SIZE (8 at most), not 9"
    )


BAD = [
    ("GRPC_PORT", "http"),
    ("GRPC_PORT", "-1"),
    ("GRPC_PORT", "65536"),
    ("GRPC_PORT", "80.5"),
    ("METRICS_PORT", "65536"),
    ("REDIS_PORT", "abc"),
    ("REDIS_DB", "-1"),
    ("REDIS_DB", "zero"),
    ("COCKROACHDB_PORT", "99999"),
    ("DATABASE_POOL_SIZE", "0"),
    ("DATABASE_POOL_SIZE", "2"),
    ("DATABASE_GUEST_CONNECTIONS", "0"),
    ("WORKER_POOL_SIZE", "0"),
    ("WORKER_POOL_SIZE", "10001"),
    ("WORKER_POOL_SIZE", "many"),
    ("MAX_WATCHES", "0"),
    ("MAX_UNARY_CALLS", "-5"),
    ("HANDLER_TIMEOUT_SECONDS", "0"),
    ("HANDLER_TIMEOUT_SECONDS", "-1"),
    ("HANDLER_TIMEOUT_SECONDS", "soon"),
    ("LEASE_SECONDS", "inf"),
    ("LEASE_SECONDS", "nan"),
    ("HEARTBEAT_SECONDS", "nan"),
    ("HEARTBEAT_SECONDS", "0"),
    ("POLL_SECONDS", "86401"),
    ("WATCH_POLL_SECONDS", "0"),
    ("RETRY_BASE_SECONDS", "-0.1"),
    ("RETRY_CAP_SECONDS", "1e9"),
    ("SHUTDOWN_GRACE_SECONDS", "10s"),
    ("HTTP_CALL_ALLOW_PRIVATE", "perhaps"),
]


@pytest.mark.parametrize(("name", "text"), BAD)
def test_a_bad_value_is_one_sentence_that_names_its_variable(monkeypatch, name, text):
    monkeypatch.setenv(name, text)
    sentence = mistake()
    assert sentence.startswith(f"{name} should ")
    assert "\n" not in sentence
    assert "pydantic" not in sentence
    assert not re.search(r"\bInput\b|validation error", sentence)


def test_each_of_several_mistakes_is_named(monkeypatch):
    for name in ("GRPC_PORT", "REDIS_PORT", "WORKER_POOL_SIZE"):
        monkeypatch.setenv(name, "x")
    sentence = mistake()
    assert all(name in sentence for name in ("GRPC_PORT", "REDIS_PORT", "WORKER_POOL_SIZE"))


@pytest.mark.parametrize(("lease", "heartbeat"), [("8.9", "3"), ("3", "1.01"), ("1", "1")])
def test_a_lease_shorter_than_three_heartbeats_is_refused_and_names_both(monkeypatch, lease, heartbeat):
    monkeypatch.setenv("LEASE_SECONDS", lease)
    monkeypatch.setenv("HEARTBEAT_SECONDS", heartbeat)
    sentence = mistake()
    assert sentence.startswith("LEASE_SECONDS ")
    assert "HEARTBEAT_SECONDS" in sentence
    assert "Value error" not in sentence


@pytest.mark.parametrize(("lease", "heartbeat"), [(9, 3), (3, 1), (0.3, 0.1)])
def test_a_lease_of_three_heartbeats_is_long_enough(lease, heartbeat):
    assert Settings.from_environment(lease_seconds=lease, heartbeat_seconds=heartbeat).lease_seconds == lease


# --- addresses


def test_without_any_database_address_the_error_names_the_variable():
    with pytest.raises(ConfigError, match=r"^DATABASE_URL .*COCKROACHDB_HOST"):
        Settings.from_environment().database_conninfo()


def test_without_a_redis_address_the_error_names_the_variable():
    with pytest.raises(ConfigError, match=r"^REDIS_HOST "):
        Settings.from_environment().redis_address()


def test_a_database_url_wins_over_the_cockroachdb_variables(monkeypatch):
    monkeypatch.setenv("COCKROACHDB_HOST", "other")
    monkeypatch.setenv("DATABASE_URL", "postgresql://me@here:5433/mine")
    assert Settings.from_environment().database_conninfo() == "postgresql://me@here:5433/mine"


def test_an_empty_database_url_leaves_the_cockroachdb_variables_in_force(monkeypatch):
    monkeypatch.setenv("COCKROACHDB_HOST", "there")
    monkeypatch.setenv("DATABASE_URL", "")
    assert conninfo_to_dict(Settings.from_environment().database_conninfo())["host"] == "there"


def test_the_cockroachdb_variables_make_an_address():
    settings = Settings.from_environment(cockroachdb_host="crdb.example.com")
    assert conninfo_to_dict(settings.database_conninfo()) == {
        "host": "crdb.example.com",
        "port": "26257",
        "user": "root",
        "dbname": "scheduler",
        "sslmode": "verify-full",
    }


@pytest.mark.parametrize(
    "text", [SECRET, "a b", "@", "/", "100%", "'; DROP", "päß", "?sslmode=disable", "#", "\\"]
)
def test_strange_characters_arrive_as_they_are(text):
    settings = Settings.from_environment(
        cockroachdb_host="db", cockroachdb_user=text, cockroachdb_password=text, cockroachdb_database=text
    )
    read = conninfo_to_dict(settings.database_conninfo())
    assert (read["user"], read["password"], read["dbname"], read["host"]) == (text, text, text, "db")
    assert read["sslmode"] == "verify-full"


def test_redis_gets_its_address_and_its_password():
    settings = Settings.from_environment(redis_host="r", redis_port=1, redis_db=2, redis_password=SECRET)
    assert settings.redis_address() == {"host": "r", "port": 1, "db": 2, "password": SECRET}
    assert Settings.from_environment(redis_host="r").redis_address()["password"] is None


@pytest.mark.parametrize("host", ["[::1]", "::1", "[::1", "a b", "db.example.com", "/var/run", "päß"])
def test_a_host_is_taken_as_it_is_given_whatever_it_looks_like(host):
    settings = Settings.from_environment(cockroachdb_host=host, cockroachdb_password=SECRET)
    bare = "::1" if host == "[::1]" else host
    assert conninfo_to_dict(settings.database_conninfo())["host"] == bare


@pytest.mark.parametrize(
    "password", ["hunter2/b", "hunter2@b", "1/hunter2", "a@hunter2@b", "a/b@hunter2", "hunter%zz"]
)
def test_a_password_that_ends_too_early_is_an_error_that_says_how_to_write_it(password):
    settings = Settings.from_environment(database_url=f"postgresql://me:{password}@db/x")
    with pytest.raises(ConfigError, match="write %40, %2F and %25") as caught:
        settings.database_conninfo()
    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://me:hunt%40er2@db:5432/x",
        "postgres://one:5432,two:5433/x?target_session_attrs=any",
        "postgresql://me:a?b#c:d@db/x",
        "host=db port=5432 password='a @ / b'",
        "postgresql:///x?host=@abstract",
        "postgresql://",
    ],
)
def test_an_address_that_libpq_reads_is_passed_on_as_it_is(address):
    assert Settings.from_environment(database_url=address).database_conninfo() == address


# --- secrets


def test_no_secret_shows_in_what_settings_print():
    settings = Settings.from_environment(
        database_url=f"postgresql://me:{SECRET}@db/x",
        redis_host="r",
        redis_password=SECRET,
        cockroachdb_password=SECRET,
    )
    for text in (
        repr(settings),
        str(settings),
        f"{settings}",
        repr(settings.model_dump()),
        settings.model_dump_json(),
    ):
        assert "hunter2" not in text


def test_no_secret_shows_in_an_error_about_another_setting(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", f"postgresql://me:{SECRET}@db/x")
    monkeypatch.setenv("REDIS_PASSWORD", SECRET)
    monkeypatch.setenv("COCKROACHDB_PASSWORD", SECRET)
    monkeypatch.setenv("GRPC_PORT", "x")
    with pytest.raises(ConfigError) as caught:
        Settings.from_environment()
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_no_value_shows_in_an_error_for_it_could_be_a_secret_that_was_misplaced(monkeypatch):
    monkeypatch.setenv("REDIS_PORT", SECRET)
    assert "hunter2" not in mistake()


def test_psycopg_reads_every_address_that_it_is_given():
    settings = Settings.from_environment(cockroachdb_host="db", cockroachdb_password=SECRET)
    assert psycopg.conninfo.make_conninfo(settings.database_conninfo())
