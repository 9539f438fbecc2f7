# SPDX-License-Identifier: GPL-2.0-or-later
"""An HTTP proxy in front of MediaMTX's API that spoils the calls it is told to.

It listens at the same port as MediaMTX, on another loopback address, so that the rendered file's
apiAddress and the URL asked agree on the port.
"""
import http.client
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ADDRESS = "127.0.0.2"


class Rule:
    """Calls whose "METHOD /path" matches: hung until lifted, delayed, or answered with a status."""

    def __init__(self, pattern, hang=False, delay=0, status=0):
        self.pattern = re.compile(pattern)
        self.hang, self.delay, self.status = hang, delay, status
        self.lifted = threading.Event()
        self.hits = 0


class Proxy:
    def __init__(self, port):
        self.port = port
        self.rules = []
        self.lock = threading.Lock()
        self.calls = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def handle_one(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                rule = proxy.match(f"{self.command} {self.path}")
                if rule and rule.hang:
                    rule.lifted.wait()
                    self.close_connection = True  # whoever asked has given up
                    return
                if rule and rule.delay:
                    rule.lifted.wait(rule.delay)
                if rule and rule.status:
                    self.reply(rule.status, [("Content-Type", "application/json")],
                               b'{"status":"error","error":"spoilt by the test"}')
                else:
                    self.reply(*proxy.forward(self.command, self.path, self.headers, body))

            def reply(self, status, headers, body):
                self.send_response(status)
                for key, value in headers:
                    if key.lower() in ("content-type", "www-authenticate"):
                        self.send_header(key, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PATCH = do_DELETE = handle_one

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass  # MediaMTX or the caller is gone: its connection ends

        self.server = Server((ADDRESS, port), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://{ADDRESS}:{self.port}"

    def spoil(self, pattern, **how):
        rule = Rule(pattern, **how)
        with self.lock:
            self.rules.append(rule)
        return rule

    def lift(self):
        """All calls pass again; those that hang end without an answer."""
        with self.lock:
            rules, self.rules = self.rules, []
        for rule in rules:
            rule.lifted.set()

    def match(self, call):
        with self.lock:
            self.calls.append(call)
            for rule in self.rules:
                if rule.pattern.search(call):
                    rule.hits += 1
                    return rule
        return None

    def count(self, pattern):
        with self.lock:
            return sum(bool(re.search(pattern, call)) for call in self.calls)

    def forward(self, method, path, headers, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body or None,
                               {k: v for k, v in headers.items()
                                if k.lower() in ("authorization", "content-type")})
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def close(self):
        self.lift()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)
