"""What there is to know about each queue before it runs: its file, its environment, and what it keeps."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One queue. `environment` names a file in `requirements/`; None is the project's own environment."""

    name: str
    title: str
    module: str
    class_name: str
    environment: str | None
    keeps: str
    """What is left of a job that has finished, and who may write it."""


OURS = Entry("ours", "ours, piece called directly", "ours", "Ours", None, "row and attempt, fenced")

PEERS = [
    Entry("ours-grpc", "ours, through gRPC", "ours_grpc", "OursGrpc", None, "row and attempt, fenced"),
    Entry("celery", "celery, Redis", "celery_redis", "CeleryRedis", "redis8", "result in Redis"),
    Entry("rq", "rq, SimpleWorker", "rq_simple", "RqSimple", "redis8", "hash and result in Redis"),
    Entry("arq", "arq, 100 at once", "arq_redis", "Arq", "redis5", "result in Redis"),
    Entry("dramatiq", "dramatiq with results", "dramatiq_results", "Dramatiq", "redis8", "result in Redis"),
    Entry("taskiq", "taskiq, list", "taskiq_list", "Taskiq", "redis8", "result in Redis"),
    Entry("huey", "huey, Redis", "huey_redis", "Huey", "redis8", "result in Redis"),
    Entry("saq", "saq, Redis", "saq_redis", "SaqRedis", "redis7", "job in Redis"),
    Entry("saq-postgres", "saq, PostgreSQL", "saq_postgres", "SaqPostgres", "redis7", "row"),
    Entry(
        "procrastinate",
        "procrastinate, 10 at once",
        "procrastinate_postgres",
        "Procrastinate",
        "redis8",
        "row and events",
    ),
    Entry(
        "pgqueuer", "pgqueuer, batch 100", "pgqueuer_postgres", "PgQueuer100", "redis8", "log rows, no job"
    ),
]
