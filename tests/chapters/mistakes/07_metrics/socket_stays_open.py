"""The loop stops, and the socket stays."""

from prometheus_client import start_http_server

TEST = "test_task_3_stops_when_it_is_closed"
SAYS = "close the socket"


class Serving:
    def __init__(self, server):
        self.server = server
        self.port = server.server_port

    def close(self):
        self.server.shutdown()


def serve_metrics(registry, port, host="127.0.0.1", is_ready=None):
    return Serving(start_http_server(port, host, registry)[0])
