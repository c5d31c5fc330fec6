"""A site that would like to run something in the dashboard, and takes webhooks."""

import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MARKUP = '<img src="x" onerror="window.owned=true"><script>window.owned=true</script>'
PAGE = f"""<!doctype html><title>Hostile</title>
<h1>{MARKUP}</h1><a href="javascript:window.owned=true">link</a>"""


class HostileSite:
    """Serves `/page` and takes `/hook`; all else is not found, in its own words."""

    def __enter__(self):
        self.hooks = hooks = queue.Queue()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                is_page = self.path.startswith("/page")
                self._answer(200 if is_page else 404, PAGE if is_page else MARKUP)

            def do_POST(self):
                hooks.put(self.rfile.read(int(self.headers["Content-Length"])))
                self._answer(200, "")

            def _answer(self, status, text):
                body = text.encode()
                self.send_response(status, "Not <b>found</b>" if status == 404 else None)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                """Nothing is logged."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *failure):
        self._server.shutdown()
        self._server.server_close()
