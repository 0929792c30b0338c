"""It serves for ever, and never returns."""

from wsgiref.simple_server import make_server

from prometheus_client import make_wsgi_app

TEST = "test_task_3_takes_the_port_that_it_is_given"
SAYS = "let a thread of its own do that"


def serve_metrics(registry, port, host="127.0.0.1", is_ready=None):
    make_server(host, port, make_wsgi_app(registry)).serve_forever()
