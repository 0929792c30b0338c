"""A server inside a notebook should not write its log between the reader's cells."""

import logging
import os


def be_quiet() -> None:
    """Keep the scheduler's warnings out of the notebook: it makes faults happen, and shows what comes of them."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    for name in ("scheduler", "psycopg.pool", "asyncio"):
        logger = logging.getLogger(name)
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
