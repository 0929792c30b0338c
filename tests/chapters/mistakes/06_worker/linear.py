"""It grows, but does not double."""

import random

TEST = "test_task_4_doubles_up_to_the_cap"
SAYS = "the limit doubles with each attempt"


def backoff_delay(attempt, base, cap):
    return random.uniform(0, min(cap, base * attempt / 2))
