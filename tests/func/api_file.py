# SPDX-License-Identifier: Apache-2.0
"""api/openapi.yaml for tests: its operations, and the objects that they need on a server."""

import functools
import json
import pathlib
import subprocess
import tempfile

import harness

TOP = pathlib.Path(__file__).resolve().parents[2]
METHODS = ("get", "post", "put", "patch", "delete")
NO_ID = 999999999          # an id that nothing has


@functools.cache
def document():
    """What /openapi.json says, made of the file."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "openapi.json"
        subprocess.run([TOP / "tools/openapi", "json", out, "0", TOP / "api/openapi.yaml"],
                       check=True)
        return json.loads(out.read_text())


class Operation:
    """One operation of the document."""

    def __init__(self, path, method, raw):
        self.path, self.method, self.raw = path, method, raw
        self.id = raw["operationId"]
        self.access = raw["x-access"]
        self.is_stream = raw.get("x-stream", False)
        self.parameters = [resolve(one) for one in raw.get("parameters", [])]
        self.body = raw.get("requestBody")

    def where(self):
        return f"{self.method.upper()} {self.path}"

    def names_of(self, place):
        return [one["name"] for one in self.parameters if one["in"] == place]

    def target(self, number):
        """The path with something at {id} or {text}."""
        return self.path.replace("{id}", str(number)).replace("{text}", str(number))

    def media(self):
        """Type of the body and its schema; None without a body."""
        if not self.body:
            return None
        kind, media = next(iter(self.body["content"].items()))
        return kind, resolve(media["schema"])


def resolve(value):
    """What a $ref stands for, with what stands beside it."""
    while "$ref" in value:
        found = document()
        for part in value["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        value = {**found, **{key: item for key, item in value.items() if key != "$ref"}}
    return value


def operations():
    return [Operation(path, method, raw) for path, item in document()["paths"].items()
            for method, raw in item.items() if method in METHODS]


class Objects:
    """One object of each kind on a server, made again when a test has removed it."""

    def __init__(self, cluster, served):
        """`served` is the name of a model that runs."""
        self.cluster, self.admin, self.served = cluster, cluster.admin, served
        self.made = {}
        self.count = 0
        self.worker = self.register()

    def register(self):
        """A worker that exists in the API only."""
        self.count += 1
        body = {"name": f"paper-{self.count}", "worker_uuid": f"paper-{self.count}",
                "ip": "127.0.0.1", "port": 1}
        reply = self.cluster.http(self.cluster.token()).post("/v2/workers", body).expect(200)
        self.made["/v2/workers"] = reply["id"]
        return reply

    def paper_worker(self):
        """One whose token is known."""
        if self.admin.get(f"/v2/workers/{self.worker['id']}").status != 200:
            self.worker = self.register()
        return self.worker

    def make_user(self):
        body = {"username": f"throwaway{self.count}", "password": harness.STRONG}
        return self.admin.post("/v2/users", body).expect(200)["id"]

    def make_key(self):
        return self.admin.post("/v2/api-keys", {"name": f"k{self.count}"}).expect(200)["id"]

    def make_model(self):
        """With a revision to go back to."""
        body = {"name": f"m{self.count}", "source": "local_path", "local_path": "/none.gguf",
                "replicas": 0}
        number = self.admin.post("/v2/models", body).expect(200)["id"]
        self.admin.put(f"/v2/models/{number}", {"env": {"A": "1"}}).expect(200)
        return number

    def make_route(self):
        targets = [{"model_id": self.cluster.model(self.served)["id"]}]
        body = {"name": f"r{self.count}", "targets": targets}
        return self.admin.post("/v2/model-routes", body).expect(200)["id"]

    def make_model_file(self):
        """A download that never gets anywhere, for no hub is reached."""
        worker = self.cluster.wait_running(self.served)[0]["worker_id"]
        body = {"source": "huggingface", "huggingface_repo_id": f"nobody/m{self.count}",
                "worker_id": worker}
        return self.admin.post("/v2/model-files", body).expect(200)["id"]

    def running_instance(self):
        return self.cluster.wait_running(self.served)[0]["id"]

    def id_for(self, path):
        """What stands at {id} or {text} of a path for an object that is there, and can be asked
        for that."""
        number = self._id_for(path)
        if path == "/v2/model-files/{id}/resume":
            self.admin.post(f"/v2/model-files/{number}/pause")  # unless it is paused already
        return number

    def _id_for(self, path):
        if path == "/v2/workers/{id}/desired":
            return self.paper_worker()["id"]
        if path.startswith("/v2/gpu-devices"):
            return self.cluster.items("/v2/gpu-devices")[0]["id"]
        if path.startswith("/v2/inference-backends"):
            return self.cluster.items("/v2/inference-backends")[0]["id"]
        collection = path.partition("/{")[0]
        if collection == "/v2/model-sets":
            return 1  # of the catalog
        if collection == "/v2/model-instances":
            return self.running_instance()
        known = self.made.get(collection)
        if known and self.admin.get(f"{collection}/{known}").status == 200:
            return known
        self.count += 1
        if collection == "/v2/workers":
            return self.register()["id"]
        make = {"/v2/users": self.make_user, "/v2/api-keys": self.make_key,
                "/v2/models": self.make_model, "/v2/model-routes": self.make_route,
                "/v2/model-files": self.make_model_file}[collection]
        self.made[collection] = make()
        return self.made[collection]

    def token_for(self, operation):
        """The credential that the operation's access rule asks for."""
        if operation.access == "worker":
            return self.paper_worker()["token"]
        if operation.access == "cluster":
            return self.cluster.token()
        return None if operation.access == "public" else self.cluster.api_key()
