"""The registry that was given is not passed on."""

from prometheus_client import start_http_server

TEST = "test_task_3_serves_the_metrics_of_this_registry"
SAYS = "pass on the one that was given"


class Serving:
    def __init__(self, server):
        self.server = server
        self.port = server.server_port

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def serve_metrics(registry, port, host="127.0.0.1", is_ready=None):
    server, _ = start_http_server(port, host)
    return Serving(server)
