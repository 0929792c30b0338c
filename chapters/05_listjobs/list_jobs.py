"""Chapter 05: ListJobs. Read README.md beside this file first."""

from scheduler.app import App
from scheduler.errors import Context
from scheduler.v1 import scheduler_pb2 as pb

DEFAULT_PAGE = 50
LARGEST_PAGE = 1_000


def page_size(requested: int) -> int:
    """Task 1: how many jobs a page holds: 50 if the client says nothing (0), what it asks for, and 1,000 at most.

    Raise `InvalidRequest`, from `scheduler.errors`, for a negative number, with a `Violation` of the field `page_size`.

    Hint: of the three kinds of number that are not between 1 and 1,000, which one is a mistake of the client's?
    """
    raise NotImplementedError("05_listjobs task 1: decide how many jobs a page holds")


async def list_jobs(app: App, request: pb.ListJobsRequest, context: Context) -> pb.ListJobsResponse:
    """Task 2: the jobs of `request.state_filter`, as many as a page holds. Task 3: all three filters. Task 4: pages.

    You are given `await app.db.fetch_all(sql, params)`, which answers with rows as dicts, and `Job.from_row(row)`. What
    you have written earlier is in `app.parts`: `app.parts.page_size(…)` and `app.parts.job_to_status(job)`.

    Hint: a filter that the client leaves out is 0, or an empty text. What does the statement look like then? And how
    would you write it so that nothing which a client sends ever becomes part of the statement's text?
    """
    raise NotImplementedError("05_listjobs task 2: list the jobs of one state")
