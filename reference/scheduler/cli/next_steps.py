"""What to try next, printed below the demo: commands that work as they stand, with ids of real jobs in them."""

import os
import shutil
import sys
from pathlib import Path

from scheduler.cli.show import bold, say

SERVICE = "scheduler.v1.SchedulerService"


def show(address: str, *, finished: str, alive: str) -> None:
    """Print them: `finished` is a job that has ended, `alive` one that is still being retried."""
    say()
    say("One more job keeps failing, so that there is one to watch and to cancel.")
    say(bold("Try next, in another terminal:"))
    say()
    for line in _grpcurl(address, finished, alive):
        say(line)
    say()
    say(bold("The same without grpcurl, and more:"))
    say()
    for line in _scheduler(address, finished, alive):
        say(line)
    say()


def _grpcurl(address: str, finished: str, alive: str) -> list[str]:
    calls = [
        ("SubmitJob", '{"job": {"type": "noop", "priority": "PRIORITY_HIGH"}}'),
        ("GetJob", f'{{"job_id": "{finished}"}}'),
        ("WatchJob", f'{{"job_id": "{alive}"}}'),
        ("CancelJob", f'{{"job_id": "{alive}"}}'),
        ("ListJobs", '{"state_filter": "JOB_STATE_QUEUED"}'),
    ]
    return [
        f"grpcurl -plaintext {address} list",
        *(f"grpcurl -plaintext -d '{data}' {address} {SERVICE}.{method}" for method, data in calls),
    ]


def _scheduler(address: str, finished: str, alive: str) -> list[str]:
    command = _command()
    at = "" if address == "localhost:8081" else f" --address {address}"
    return [
        f"{command} submit noop --priority high{at}",
        f"{command} get {finished}{at}",
        f"{command} watch {alive}{at}",
        f"{command} cancel {alive}{at}",
        f"{command} list --state queued{at}",
        f"{command} call{at} ListJobs '{{\"page_size\": 1}}'",
        f"{command} redis LLEN q:high",
        f'{command} sql "SELECT task_id, status, attempts FROM tasks"',
    ]


def _command() -> str:
    """How this command is called from here: by its name if the shell finds it, else by its path."""
    if shutil.which("scheduler"):
        return "scheduler"
    program = Path(sys.argv[0])
    if program.stem == "scheduler":
        return os.path.relpath(program) if program.is_relative_to(Path.cwd()) else str(program)
    return f"{os.path.basename(sys.executable)} -m scheduler"
