"""What the pages say in words about commands. A command that no claim is about has to end with exit code 0."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.docs.printed import is_as_printed
from tests.docs.terminal import ID, Result


@dataclass(frozen=True)
class Claim:
    """Of the commands on a page that hold `command`: the exit code, what they print, and what they don't."""

    page: str
    command: str
    says: tuple[str, ...] = ()
    not_says: tuple[str, ...] = ()
    refused: bool = False

    def is_about(self, page: str, text: str) -> bool:
        return page == self.page and self.command in text


README, TEACHING = "README.md", "docs/teaching.md"
C01, C02, C03, C04, C05, C06, C07 = (
    f"chapters/{name}/README.md"
    for name in (
        "01_queue", "02_getjob", "03_watchjob", "04_cancel", "05_listjobs", "06_worker", "07_metrics",
    )
)  # fmt: skip
AN_ID = rf'"job_id": "{ID}"'
COUNT = r"^\(integer\) \d+$"

CLAIMS = [
    # "one retries, one ends as a dead letter, one is cancelled … with an id filled in"
    Claim(
        README, "make run",
        (
            r"flaky +\S+ +retry", r"always_fail +\S+ +deadletter", r"sleep +\S+ +cancelled",
            *(rf"{ID}.*{call}" for call in ("GetJob", "WatchJob", "CancelJob")),
        ),
    ),
    Claim(README, "submit noop --priority high --watch", (ID, r"succeeded")),
    Claim(README, "scheduler list", (rf"{ID} .*(noop|sleep|flaky)",)),
    Claim(README, "redis LLEN", (COUNT,)),
    Claim(README, "SELECT task_id, status, attempts", (r"task_id +\| +status +\| attempts", rf"{ID} \| ")),
    Claim(README, "localhost:8081 list", (r"^scheduler\.v1\.SchedulerService$",)),
    Claim(README, "SubmitJob", (AN_ID,)),
    # "it names the task, the file and the line, the lesson to read and the command to run"
    Claim(
        README, "workbook",
        (
            r"Next: +01 task 1: name the queue", r"chapters/01_queue/job_queue\.py:\d+",
            r"Read: +chapters/01_queue/README\.md", r"Run: +workbook test",
        ),
    ),
    Claim("chapters/README.md", "workbook", (r"Next: +01 task 1", r"chapters/01_queue/job_queue\.py:\d+")),
    Claim(C01, "SubmitJob", (AN_ID,)),
    Claim(C01, "SELECT type, priority, status", (r"noop \| high",)),
    Claim(C01, "redis LLEN", (COUNT,)),
    Claim(C02, "SubmitJob", (AN_ID,)),
    # "so that the job stays queued … Look at what is *not* in the answer: no `started_at`"
    Claim(C02, "the id that you got", (AN_ID, "JOB_STATE_QUEUED", "created_at"), ("started_at",)),
    Claim(C02, '"42"', ("InvalidArgument", "job_id"), refused=True),
    Claim(C02, '"00000000-0000-0000-0000-000000000000"', ("NotFound",), refused=True),
    Claim(C02, "SELECT task_id, status", (r"queued",)),
    # "a job that fails twice before it works"
    Claim(C03, "submit flaky --watch", (r"(?s)retry.*succeeded",)),
    Claim(C03, "submit sleep", (ID,)),
    # "the others go on … cancel the job"
    Claim(C03, "WatchJob", ("JOB_STATE_CANCELLED",)),
    Claim(C03, "SELECT task_id, status", (r"version", r"flaky|cancelled")),
    Claim(C04, "redis LRANGE q:high", (rf'^1\) .*task_id.*{ID}',), (r"^2\)",)),
    Claim(C04, "scheduler redis LLEN", (r"^\(integer\) 0$",)),
    Claim(C04, "SELECT status, version, finished_at", (r"cancelled \| +2 \| \d{4}-",)),
    # "Call CancelJob once more: the answer is `false` now. You see `{}`"
    Claim(C04, "grpcurl", (r"^\{\}$|^\{\s+\}$",)),
    Claim(C04, "scheduler call CancelJob", (r'"cancelled": true',)),
    # "you can see its lease, and see it go"
    Claim(C04, "redis ZRANGE leases", (r"^\(empty",)),
    Claim(C05, "SubmitJobs", (rf"(?s){ID}.*{ID}.*{ID}",)),
    Claim(C05, """ListJobs '{"page_size": 2}'""", (r'"next_page_token": ".+"',)),
    Claim(C05, "the token that you got", (AN_ID,), ("next_page_token",)),
    Claim(C05, '"type_filter": "sleep"', ('"type": "sleep"',), ('"noop"',)),
    Claim(C05, '"page_size": -1', ("InvalidArgument", "page_size"), refused=True),
    # "Look at the three times: they are the same."
    Claim(C05, "SELECT task_id, type, created_at", (r"(?s)\| (\d{4}-\S+ \S+)\n.*\| \1\n.*\| \1\n",)),
    # "With a handful of rows the database reads them all"
    Claim(C05, "EXPLAIN", (r"Scan",)),
    Claim(C06, "SubmitJob", (AN_ID,)),
    Claim(C06, "SELECT type, status", (r"noop", r"sleep", r"flaky", r"always_fail")),
    Claim(C06, "AS took FROM task_attempts", (r"attempt +\| ok +\|", r" took ")),
    Claim(C06, "SELECT attempt, error FROM", (r"attempt +\| +error",)),
    Claim(C06, "redis LLEN", (COUNT,)),
    Claim(
        C07, "curl",
        (
            r'scheduler_jobs_submitted_total\{priority="default",type="noop"\} 1\.0',
            r'scheduler_jobs_submitted_total\{priority="low",type="noop"\} 1\.0',
        ),
    ),
    Claim("docs/deploy.md", "redis LLEN", (COUNT,)),
    Claim("docs/deploy.md", "SELECT status, count", (r"status +\| count",)),
    Claim("docs/deploy.md", "scheduler prune", (r"^deleted 0 jobs$",)),
    Claim("docs/deploy.md", "scheduler migrate", (r"^nothing is missing$",)),
    Claim(TEACHING, "workbook export --students", (r"a copy for students",)),
    # "a chapter that nobody has begun takes no time"
    Claim(TEACHING, "workbook grade ../submissions/kim", (r"01 .*not begun", r"all +0 of 496 +bonus +0 of 410")),
    Claim(TEACHING, "python -c", (r"^grades/kim\.json,0,0,0,0$",)),
]  # fmt: skip


def disagreements(page: str, result: Result) -> Iterator[str]:
    """A sentence for each thing that the page says of this command and that is not so."""
    found = list(_disagreements(page, result))
    if found:
        yield f"{page}:{result.command.line}: {result.command.text}: {'; '.join(found)}\n{result.text}"


def _disagreements(page: str, result: Result) -> Iterator[str]:
    text = result.command.text
    about = [claim for claim in CLAIMS if claim.is_about(page, text)]
    refused = any(claim.refused for claim in about)
    if (result.code != 0) != refused:
        yield f"it ended with exit code {result.code}"
    if result.command.printed is not None and not is_as_printed(result.command.printed, result.text):
        yield f"it does not print what stands below it: {result.command.printed!r}"
    for claim in about:
        yield from (f"it does not say {one!r}" for one in claim.says if not _found(one, result.text))
        yield from (f"it says {one!r}" for one in claim.not_says if _found(one, result.text))


def _found(pattern: str, text: str) -> bool:
    return re.search(pattern, text, re.MULTILINE) is not None
