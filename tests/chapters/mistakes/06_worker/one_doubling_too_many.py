"""The exponent begins at one."""

import random

TEST = "test_task_4_stays_within_the_limit_of_its_attempt"
SAYS = "one doubling too many"


def backoff_delay(attempt, base, cap):
    return random.uniform(0, min(cap, base * 2 ** min(attempt, 50)))
