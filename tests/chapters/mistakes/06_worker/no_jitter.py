"""Always the limit itself."""

TEST = "test_task_4_differs_from_call_to_call"
SAYS = "would all come back together"


def backoff_delay(attempt, base, cap):
    return min(cap, base * 2 ** min(attempt - 1, 50))
