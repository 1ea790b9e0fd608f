"""Receives the webhooks of deltahook: verifies them (Standard Webhooks v1), drops duplicates and outdated states, and
prints one line for each event. It uses Python's standard library alone."""

import base64
import hashlib
import hmac
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOLERANCE = 5 * 60  # seconds that webhook-timestamp may be from our clock
MAX_BODY = 16 << 20

lock = threading.Lock()
done = set()  # webhook-ids that were handled; keep yours in the database, for as long as deltahook may replay
last = {}  # sequence of the newest state we have, by record; a column of the record in yours


def signing_key():
    try:
        key = base64.b64decode(os.environ.get("WEBHOOK_SECRET", "").removeprefix("whsec_"), validate=True)
    except ValueError:
        key = b""
    return key or sys.exit("set WEBHOOK_SECRET to the secret that deltahook signs with: whsec_…")


def verify(key, headers, body, now):
    event_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not (timestamp.isascii() and timestamp.isdigit()) or abs(now - int(timestamp)) > TOLERANCE:
        raise ValueError("webhook-timestamp is missing or not of now")
    mac = hmac.new(key, f"{event_id}.{timestamp}.".encode() + body, hashlib.sha256)
    want = b"v1," + base64.b64encode(mac.digest())
    signatures = headers.get("webhook-signature", "").encode().split()  # several while a secret is rotated
    if not any(hmac.compare_digest(given, want) for given in signatures):  # in constant time
        raise ValueError("webhook-signature does not match")
    return event_id


def handle(event_id, body):
    """Does the work of one event, exactly once and never backwards. In yours the work, done and last are one transaction."""
    event = json.loads(body)
    data = event["data"]
    record, sequence = (data.get("source"), data.get("key")), data.get("sequence", 0)
    with lock:
        verdict = "applied"
        if event_id in done:
            verdict = "duplicate"  # at least once: it may come again
        elif 0 < sequence <= last.get(record, 0):
            verdict = "outdated"  # a newer state of this record is here already
        else:
            done.add(event_id)
            last[record] = sequence
        print(f"{verdict} {event['type']} key={json.dumps(data.get('key'))} sequence={sequence} {event_id}", flush=True)


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps the connection open
    timeout = 30

    def do_POST(self):
        size = self.headers.get("content-length", "")
        if not (size.isascii() and size.isdigit()) or int(size) > MAX_BODY:
            self.close_connection = True
            self.pass_over(int(size) if size.isascii() and size.isdigit() else 0)
            return self.answer(413, "a body of a known and bearable size is wanted")
        body = self.rfile.read(int(size))  # the signature is over the raw bytes: nothing may parse them before
        try:
            event_id = verify(self.server.key, self.headers, body, time.time())
        except ValueError as error:
            return self.answer(401, str(error))
        try:
            handle(event_id, body)
        except (ValueError, KeyError, TypeError) as error:
            return self.answer(400, f"not an event: {error}")
        return self.answer(204)

    def pass_over(self, size):
        """Reads a body that is too large: an answer before its end would get lost, and the event would come again."""
        size = min(size, 4 * MAX_BODY)
        while size > 0 and (part := self.rfile.read(min(size, 1 << 16))):
            size -= len(part)

    def answer(self, status, text=""):
        self.send_response(status)
        if status != 204:
            self.send_header("content-length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args):
        """Keeps the access log away: there is one line for each verified event."""


if __name__ == "__main__":
    host, _, port = os.environ.get("LISTEN", "127.0.0.1:8080").partition(":")
    server = ThreadingHTTPServer((host, int(port)), Receiver)
    server.key = signing_key()
    print(f"listening on http://{host}:{server.server_port}", flush=True)
    server.serve_forever()
