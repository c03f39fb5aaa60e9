# SPDX-License-Identifier: Apache-2.0
"""A worker that downloads model files, as control sees one: it registers, follows its desired
state and reports what the test tells it to. Nothing is fetched and no engine runs.

    worker = FetchingWorker(cluster, "w1", storage="shared")
    wish = worker.wait_wish(lambda wish: wish["action"] == "download")
    worker.tell(wish, "downloading", size=1000, downloaded=10)
    worker.tell(wish, "ready", size=1000, downloaded=1000, resolved_path="huggingface/a/b/x.gguf")
    worker.stop()
"""

import http.client
import json
import threading
import uuid

from harness import Http, wait_for

REPORT_S = 1


class FetchingWorker:
    def __init__(self, cluster, name, storage=None, **registration):
        self.cluster, self.name = cluster, name
        self.storage = storage or str(uuid.uuid4())
        self.uuid = str(uuid.uuid4())
        self.registration = {"downloads": True, "inspects": False, **registration}
        self.desired = {}        # the last line of the desired state
        self.files = {}          # what is reported, by id
        self.instances = {}      # entries of instances, by id
        self.cache_error = None
        self.seq = 0
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.register()
        self.threads = [threading.Thread(target=run, daemon=True)
                        for run in (self._follow, self._report_often)]
        for thread in self.threads:
            thread.start()
        wait_for(lambda: cluster.worker_state(name) == "ready", what=f"worker {name} is ready")

    def register(self):
        answer = self.cluster.http(self.cluster.token()).post("/v2/workers", {
            "name": self.name, "name_is_configured": True, "hostname": self.name, "ip": "127.0.0.1",
            "port": 1, "worker_uuid": self.uuid, "netns_id": "", "worker_version": "test",
            **self.registration}).expect(200)
        with self.lock:
            self.id, self.token, self.session = answer["id"], answer["token"], answer["session"]
            self.seq = 0

    # --- what control wants ---

    def _follow(self):
        while not self.stopping.is_set():
            try:
                http_ = Http("127.0.0.1", self.cluster.port, self.token, timeout=15)
                for line in http_.lines("GET", f"/v2/workers/{self.id}/desired"):
                    if self.stopping.is_set():
                        return
                    if line:
                        self.desired = line if isinstance(line, dict) else json.loads(line)
            except (OSError, http.client.HTTPException, ValueError, AssertionError):
                self.stopping.wait(0.1)

    def wishes(self):
        return self.desired.get("model_files", [])

    def wait_wish(self, accept=lambda wish: True):
        return wait_for(lambda: next((wish for wish in self.wishes() if accept(wish)), None),
                        what=f"a wish of {self.name}")

    def wait_instance(self, accept=lambda entry: True):
        return wait_for(lambda: next((entry for entry in self.desired.get("instances", [])
                                      if accept(entry)), None), what=f"an instance on {self.name}")

    # --- what it tells ---

    def tell(self, wish, state, **fields):
        with self.lock:
            self.files[wish["id"]] = {"id": wish["id"], "lease": wish["lease"], "state": state,
                                      **fields}
        self.report()

    def runs(self, entry):
        with self.lock:
            self.instances[entry["id"]] = {
                "id": entry["id"], "model_generation": entry["model_generation"],
                "state": "running", "pid": 7, "port": 40000, "ports": [40000],
                "resolved_path": entry["local_path"], "served_name": entry["model_name"]}
        self.report()

    def report(self):
        with self.lock:
            self.seq += 1
            body = {"generation": self.desired.get("generation", 0), "session": self.session,
                    "seq": self.seq, "instances": list(self.instances.values()),
                    "model_files": list(self.files.values()),
                    "status": {"memory": {"total": 64 << 30, "used": 0},
                               "cpu": {"total": 8, "utilization_rate": 0}, "gpu_devices": [],
                               "engines": [{"name": "llama.cpp", "version": None, "present": True,
                                            "distributable": False, "device_types": []}],
                               "cache": {"dir": f"/cache/{self.name}", "storage_id": self.storage,
                                         "total": 1 << 40, "available": 1 << 39,
                                         "is_shared": False, "error": self.cache_error}}}
            reply = self.cluster.http(self.token).post("/v2/worker-status", body)
        return reply.status

    def _report_often(self):
        while not self.stopping.is_set():
            try:
                if self.report() in (401, 404):
                    self.register()
            except (OSError, http.client.HTTPException, AssertionError):
                pass
            self.stopping.wait(REPORT_S)

    def stop(self):
        self.stopping.set()
