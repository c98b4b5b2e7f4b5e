#!/usr/bin/env python3
"""What the container speaks to, on 127.0.0.1: a provider and application at port 8091, and a name server at port 53.

`peer.py FOLDER`: a GET touches FOLDER/asked and is answered once FOLDER/go is there; a POST is answered with a token. The
name server says that every name is 127.0.0.1.
"""

import pathlib
import socketserver
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

folder = pathlib.Path(sys.argv[1])


class Web(BaseHTTPRequestHandler):
    def do_GET(self):
        (folder / "asked").touch()
        while not (folder / "go").exists():
            time.sleep(0.05)
        self.answer(b"slow", "text/plain")

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(b'{"access_token": "token", "token_type": "bearer", "expires_in": 3600}', "application/json")

    def answer(self, body, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Names(socketserver.BaseRequestHandler):
    """One question, as it came, and for an address of IPv4 the one answer (RFC 1035 section 4)."""

    def handle(self):
        message, socket = self.request
        end = message.index(b"\0", 12) + 5
        kind = message[end - 4 : end - 2]
        answer = b"\xc0\x0c" + kind + b"\0\1" + b"\0\0\0\x3c" + b"\0\4" + bytes([127, 0, 0, 1])
        found = kind == b"\0\1"
        head = message[:2] + b"\x85\x80" + b"\0\1" + bytes([0, found]) + bytes(4)
        socket.sendto(head + message[12:end] + (answer if found else b""), self.client_address)


threading.Thread(target=socketserver.UDPServer(("127.0.0.1", 53), Names).serve_forever, daemon=True).start()
ThreadingHTTPServer(("127.0.0.1", 8091), Web).serve_forever()
