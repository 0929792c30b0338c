import random


def backoff_delay(attempt, base, cap):
    return random.random() * min(cap, base * 2 ** min(attempt - 1, 40))
