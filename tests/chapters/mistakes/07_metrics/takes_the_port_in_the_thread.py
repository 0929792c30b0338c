"""The port is taken in the thread, and that it was not free stays there."""

import threading
from contextlib import suppress

from prometheus_client import start_http_server

TEST = "test_task_3_raises_when_the_port_is_taken"
SAYS = "start the thread when you have it"


class Serving:
    def __init__(self, registry, port, host):
        self.server = None
        self.port = port
        threading.Thread(target=self.serve, args=[registry, host]).start()

    def serve(self, registry, host):
        with suppress(OSError):
            self.server, _ = start_http_server(self.port, host, registry)

    def close(self):
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()


def serve_metrics(registry, port, host="127.0.0.1", is_ready=None):
    return Serving(registry, port, host)
