"""What start_http_server returns is returned as it is."""

from prometheus_client import start_http_server

TEST = "test_task_3_stops_when_it_is_closed"
SAYS = "make one object of them that has port and close()"


def serve_metrics(registry, port, host="127.0.0.1", is_ready=None):
    return start_http_server(port, host, registry)
