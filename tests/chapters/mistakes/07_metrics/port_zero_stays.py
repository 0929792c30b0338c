"""The port is the one that was asked for, even if that was 0."""

from prometheus_client import start_http_server

TEST = "test_task_3_says_which_free_port_it_took"
SAYS = "port is still 0"


class Serving:
    def __init__(self, server, port):
        self.server = server
        self.port = port

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def serve_metrics(registry, port, host="127.0.0.1", is_ready=None):
    return Serving(start_http_server(port, host, registry)[0], port)
