# SPDX-License-Identifier: Apache-2.0
"""Take in webhooks on a free port of loopback: one line of the file for each body.

usage: webhook.py FILE. Prints the port, and serves until its end."""

import http.server
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):  # the name that http.server wants  pylint: disable=C0103
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with open(sys.argv[1], "ab") as file:
            file.write(body.replace(b"\n", b" ") + b"\n")
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):  # pylint: disable=W0221
        pass


if __name__ == "__main__":
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
