# SPDX-License-Identifier: Apache-2.0
"""A control that says what a test wants: the worker's protocol of ARCHITECTURE.md and nothing else.

    control = FakeControl(binary, engine_dir, folder)
    worker = control.add_worker("w1")
    control.desire({"id": 7, ...})                    # to all workers, at once
    control.wait(7, lambda seen: seen["state"] == "running")
    control.stop()
"""

import http.server
import json
import pathlib
import threading

import harness
from harness import wait_for

CLUSTER = "fake-cluster"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, body=None):
        data = json.dumps(body).encode() if body is not None else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self):
        control = self.server.control
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/v2/workers":
            self.reply(200, control.register(body))
        elif self.path == "/v2/worker-status":
            control.report(self.headers["Authorization"].split("-")[-1], body)
            self.reply(204)
        else:
            self.reply(404, {"message": "no such path"})

    def do_GET(self):
        control, number = self.server.control, self.path.split("/")[3]
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.end_headers()
        said = None
        try:
            while not control.is_over:
                with control.news:
                    line = control.lines.get(number)
                    if line == said:
                        control.news.wait(2)
                        line = control.lines.get(number)
                # An empty line is the heartbeat.
                self.wfile.write((line if line != said and line else "").encode() + b"\n")
                said = line
        except OSError:
            pass # the worker has gone
        self.close_connection = True


class FakeControl:
    def __init__(self, binary, engine_dir, folder, cluster_id=CLUSTER, port=0):
        self.binary, self.engine_dir, self.folder = binary, engine_dir, pathlib.Path(folder)
        self.cluster_id = cluster_id
        self.news = threading.Condition()
        self.is_over = False
        self.numbers = {}   # worker's uuid -> number as text
        self.lines = {}     # number -> line of desired state
        self.reports = {}   # number -> last report
        self.report_count = 0
        self.generation = 0
        self.workers = []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.server.control = self
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    # --- what the worker does ---

    def register(self, body):
        with self.news:
            number = self.numbers.setdefault(body["worker_uuid"], str(len(self.numbers) + 1))
        return {"id": int(number), "name": body["name"], "token": f"worker-{number}",
                "cluster_id": self.cluster_id}

    def report(self, number, body):
        with self.news:
            self.reports[number] = body
            self.report_count += 1
            self.news.notify_all()

    # --- what a test does ---

    def token(self):
        return "cluster"

    def add_worker(self, name, *args, env=None):
        worker = harness.Worker(self, name, args, env)
        self.workers.append(worker)
        worker.start()
        worker.number = wait_for(lambda: self.number_of(worker), 20, f"{name} has registered")
        return worker

    def number_of(self, worker):
        return self.numbers[(worker.data_dir / "worker_uuid").read_text().strip()]

    def desire(self, *instances, worker=None, model_files=()):
        """All that `worker` (each when it is None) shall run and have in its cache."""
        with self.news:
            self.generation += 1
            line = json.dumps({"generation": self.generation, "instances": instances,
                               "model_files": model_files})
            for number in [worker.number] if worker else list(self.numbers.values()):
                self.lines[number] = line
            self.news.notify_all()

    def seen(self, instance_id, worker=None):
        """The instance as the worker's last report tells it, or None."""
        number = (worker or self.workers[0]).number
        for instance in self.reports.get(number, {}).get("instances", []):
            if instance["id"] == instance_id:
                return instance
        return None

    def wait_file(self, file_id, condition, worker=None, timeout=30):
        """Until a report tells so of a model file; returns what it tells."""
        number = (worker or self.workers[0]).number

        def is_so():
            files = self.reports.get(number, {}).get("model_files", [])
            seen = next((file for file in files if file["id"] == file_id), None)
            if not seen or not condition(seen):
                raise ValueError(seen)
            return seen
        return wait_for(is_so, timeout, f"model file {file_id}")

    def wait(self, instance_id, condition, worker=None, timeout=30):
        """Until a report tells so of the instance; returns what it tells."""
        def is_so():
            seen = self.seen(instance_id, worker)
            if not seen or not condition(seen):
                raise ValueError(seen)
            return seen
        return wait_for(is_so, timeout, f"instance {instance_id}")

    def wait_reports(self, count):
        """Until so many more have come. A worker without news sends one every 5 s."""
        last = self.report_count + count
        wait_for(lambda: self.report_count >= last, 6 * count + 10, f"{count} further reports")

    def wait_gone(self, instance_id, worker=None, timeout=30):
        wait_for(lambda: self.seen(instance_id, worker) is None, timeout,
                 f"instance {instance_id} is forgotten")

    def stop(self):
        for worker in self.workers:
            worker.stop()
        self.workers.clear()
        self.stop_serving()

    def stop_serving(self):
        self.is_over = True
        with self.news:
            self.news.notify_all()
        self.server.shutdown()
        self.server.server_close()
