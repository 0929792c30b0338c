"""The cap is put on the drawn time and not on the limit: most delays are the cap itself."""

import random

TEST = "test_task_4_agrees_with_the_reference_on_every_input"
SAYS = "how many are the limit itself"


def backoff_delay(attempt, base, cap):
    return min(cap, random.uniform(0, base * 2 ** min(attempt - 1, 60)))
