"""The cap is forgotten."""

import random

TEST = "test_task_4_stays_within_the_limit_of_its_attempt"
SAYS = "above the cap"


def backoff_delay(attempt, base, cap):
    return random.uniform(0, base * 2 ** min(attempt - 1, 50))
