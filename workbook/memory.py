"""A bound for the memory of code under test: a list that grows for ever ends in a MemoryError, and not the machine."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

MORE = 3 * 2**30
"""What a phase of a test may ask for beyond what the process has already. No right answer comes near it."""
SAYS = f"your code wanted more memory than a test may have, which is {MORE // 2**30} GiB"


@contextmanager
def bounded() -> Iterator[None]:
    """Within the block, this process gets `MORE` bytes at most. Elsewhere than on Linux there is no bound."""
    if sys.platform != "linux":
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = _used() + MORE
    if soft != resource.RLIM_INFINITY:
        most = min(most, soft)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    try:
        yield
    finally:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _used() -> int:
    import resource

    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[0]) * resource.getpagesize()
