from prometheus_client import start_http_server


class Serving:
    def __init__(self, server, thread):
        self.port = server.server_port
        self.server = server
        self.thread = thread

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def serve_metrics(registry, port, host="127.0.0.1", is_ready=lambda: True):
    return Serving(*start_http_server(port, host, registry))
