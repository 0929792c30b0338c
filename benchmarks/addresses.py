"""Where the services are: the variables that `scheduler` reads, as the addresses that the other queues take."""

import os
from urllib.parse import quote


def database_url() -> str:
    """The sandbox's database, password included."""
    return os.environ["DATABASE_URL"]


def redis_url() -> str:
    """The sandbox's Redis index, password included."""
    get = os.environ.__getitem__
    password = quote(os.environ.get("REDIS_PASSWORD", ""), safe="")
    secret = f":{password}@" if password else ""
    return f"redis://{secret}{get('REDIS_HOST')}:{get('REDIS_PORT')}/{get('REDIS_DB')}"
