"""close() waits for each client, and one of them has nothing to say."""

import threading
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

TEST = "test_task_3_agrees_with_the_reference_on_every_input"
SAYS = "close() while a client is connected that has sent nothing yet: expected 'it returns'"


class Threads(ThreadingMixIn, WSGIServer):
    pass


class Silent(WSGIRequestHandler):
    def log_message(self, *args):
        pass


class Serving:
    def __init__(self, server):
        self.server = server
        self.port = server.server_port

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def serve_metrics(registry, port, host="127.0.0.1", is_ready=None):
    server = make_server(host, port, make_wsgi_app(registry), Threads, Silent)
    threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
    return Serving(server)
