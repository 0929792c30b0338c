"""Each process draws the same numbers."""

import random

TEST = "test_task_4_agrees_with_the_reference_on_every_input"
SAYS = "the same in both"


R = random.Random(7)


def backoff_delay(attempt, base, cap):
    limit = min(cap, base * 2 ** min(attempt - 1, 60))
    return R.uniform(0, limit)
