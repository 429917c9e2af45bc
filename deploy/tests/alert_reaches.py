#!/usr/bin/env python3
"""Starts a real Alertmanager with our configuration and gives it alerts as Prometheus does: those of one kind must reach the
webhook as one message, and what is inhibited must not.

    alert_reaches.py /usr/bin/alertmanager deploy/alertmanager/alertmanager.yml
"""

import http.server
import json
import pathlib
import queue
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

PATIENCE = 60


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=5).read()


def alert(name, severity, instance, **labels):
    labels = {"alertname": name, "severity": severity, "instance": instance, **labels}
    return {"labels": labels, "annotations": {"summary": name}}


# What Prometheus sends, and the messages that must come of it: their kind and whose they are.
BATCHES = [
    # Of one server of several only its own ill health is kept back.
    ([alert("NatsDown", "critical", "a", server="n1"), alert("NatsDown", "critical", "b", server="n2"),
      alert("NatsUnhealthy", "warning", "a", server="n1"), alert("NatsUnhealthy", "warning", "c", server="n3"),
      alert("QueueOld", "critical", "c"), alert("GpuHot", "warning", "d")],
     {"NatsDown": ["a", "b"], "NatsUnhealthy": ["c"], "QueueOld": ["c"], "GpuHot": ["d"]}),
    # Of all of them, whatever follows from that.
    ([alert("NatsStands", "critical", "a"), alert("NatsNoQuorum", "critical", "c", server="n3"),
      alert("QueueStands", "critical", "c"), alert("StageNotReady", "warning", "e"), alert("GpuMemoryHigh", "warning", "f")],
     {"NatsStands": ["a"], "GpuMemoryHigh": ["f"]}),
]


def main(alertmanager, path):
    messages = queue.Queue()

    class Webhook(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            messages.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    webhook = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
    threading.Thread(target=webhook.serve_forever, daemon=True).start()
    text = pathlib.Path(path).read_text()
    secret = "url_file: /run/secrets/alert-webhook"
    if secret not in text:
        sys.exit(f"{path}: the webhook's address is no secret file")
    # Debian's Alertmanager is older than url_file; and nobody waits for half a minute here.
    text = text.replace(secret, f"url: http://127.0.0.1:{webhook.server_port}/")
    text = text.replace("group_wait: 30s", "group_wait: 1s").replace("group_wait: 10s", "group_wait: 1s")
    with tempfile.TemporaryDirectory() as folder:
        config = pathlib.Path(folder, "alertmanager.yml")
        config.write_text(text)
        address = f"127.0.0.1:{free_port()}"
        log = open(pathlib.Path(folder, "log"), "w+")
        program = subprocess.Popen(
            [alertmanager, f"--config.file={config}", f"--storage.path={folder}/data", f"--web.listen-address={address}",
             "--cluster.listen-address="],
            stdout=log, stderr=log,
        )
        try:
            end = time.monotonic() + PATIENCE
            while True:
                try:
                    urllib.request.urlopen(f"http://{address}/-/ready", timeout=1)
                    break
                except (urllib.error.URLError, OSError):
                    if program.poll() is not None or time.monotonic() > end:
                        log.seek(0)
                        sys.exit(f"Alertmanager does not start:\n{log.read()}")
                    time.sleep(0.1)
            for sent, wanted in BATCHES:
                post(f"http://{address}/api/v2/alerts", sent)
                seen = {}
                # All come a second after they were sent, so what must not come would be here with them.
                while len(seen) < len(wanted):
                    message = messages.get(timeout=PATIENCE)
                    seen[message["groupLabels"]["alertname"]] = sorted(one["labels"]["instance"] for one in message["alerts"])
                if seen != wanted:
                    sys.exit(f"the webhook got {seen}, not {wanted}")
        finally:
            program.terminate()
            program.wait()
    print("alerts reach the webhook, one message for each kind")


if __name__ == "__main__":
    main(*sys.argv[1:])
