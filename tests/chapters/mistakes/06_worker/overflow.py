"""2.0 to a large power."""

import random

TEST = "test_task_4_works_for_any_attempt"
SAYS = "keep the exponent small"


def backoff_delay(attempt, base, cap):
    return random.uniform(0, min(cap, base * 2.0 ** (attempt - 1)))
