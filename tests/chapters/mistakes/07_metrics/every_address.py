"""Served on every address of the machine."""

from prometheus_client import start_http_server

TEST = "test_task_3_listens_on_loopback_unless_told_otherwise"
SAYS = "listen on `host`"


class Serving:
    def __init__(self, server):
        self.server = server
        self.port = server.server_port

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def serve_metrics(registry, port, host="127.0.0.1", is_ready=None):
    return Serving(start_http_server(port, registry=registry)[0])
