# SPDX-License-Identifier: Apache-2.0
"""A gateway alone, between a control and engines that do as a test says.

    gw = ScriptedGateway(binary, folder)
    engine = gw.add_engine("chunks=50 delay_ms=4")      # serves the model "m"; more add instances
    gw.start()
    key = gw.add_key(requests_per_minute=5)
    gw.put("model", id=1, name="m", token_budget=1000)  # takes effect before it returns
    reply = gw.http(key).post("/v1/chat/completions", {"model": "m", "script": "cut=chunk:3"})
    engine.log()                                        # what came to it
    gw.wait_records(1)                                  # what was told to control
    gw.stop()

tests/lib/engine/script.h says what scripts can do.
"""

import hashlib
import http.server
import json
import os
import pathlib
import secrets
import subprocess
import threading

import harness
from harness import Http, wait_for

TOP = pathlib.Path(__file__).resolve().parents[2]
TOKEN = "scripted-cluster-token"
SYNC_KEY = 1 << 40      # id of the key by which sync() sees that the feed was followed
KINDS = ("user", "key", "session", "model", "endpoint", "route", "spending")
NO_LIMITS = {"requests_per_minute": 0, "tokens_per_minute": 0, "concurrent_requests": 0,
             "token_budget": 0, "budget_period": None}
# What put() fills in.
MEMBERS = {
    "user": {"username": "user", "is_admin": False, "is_active": True,
             "require_password_change": False, **NO_LIMITS},
    "key": {"user_id": 1, "expires_at_ms": 0, "scope": ["*"], "allowed_model_names": [],
            **NO_LIMITS},
    "session": {"user_id": 1, "expires_at_ms": 1 << 42},
    "model": {"created_ms": 1, "categories": ["llm"], "generic_proxy": False,
              "first_byte_timeout_ms": 0, **NO_LIMITS},
    "endpoint": {"host": "127.0.0.1", "port": 1, "token": "instance-token", "served_name": ""},
    "route": {"targets": [], "fallback_model_id": 0},
    "spending": {},
}


def engine_program():
    """The scripted engine, built when it is missing or older than its sources."""
    return build_program("engine/scripted-engine")


def build_program(name):
    """A program of tests/lib in the release build's folder."""
    release = pathlib.Path(os.environ.get("GPUSTACK_BUILD_DIR", TOP / "build/release"))
    subprocess.run(["ninja", "-C", release, f"tests/lib/{name}"], check=True,
                   stdout=subprocess.DEVNULL)
    return release / "tests/lib" / name


def install_engine(folder, default="chunks=16"):
    """A folder for --bin-dir in which llama.cpp is the scripted engine, for a whole cluster; the
    engines' ports are in their instances."""
    home = pathlib.Path(folder) / "llama.cpp_scripted"
    home.mkdir(parents=True)
    command = json.dumps([str(engine_program()), "--default", default])  # JSON is YAML
    (home / "engine.yaml").write_text(f"command: {command}\n")
    return home.parent


def netns_id():
    """As base/netns.c makes it: endpoints with this id are asked at 127.0.0.1."""
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}:{os.readlink('/proc/self/ns/net')}"


def make_key():
    """(value, members of its feed line) of an API key as control makes them."""
    access, secret = secrets.token_hex(8), secrets.token_hex(16)
    return f"gpustack_{access}_{secret}", {
        "access_key": access, "secret_digest": hashlib.sha256(secret.encode()).hexdigest()}


# --- the engine ----------------------------------------------------------------------------------


class ScriptedEngine:
    """A process of tests/lib/engine."""

    def __init__(self, default="", program=None, port=0, args=()):
        self.command = [str(program or engine_program()), "--default", default, *args]
        self.port = port
        self.process = None

    def start(self):
        """Also again after kill(), on the same port."""
        self.process = subprocess.Popen([*self.command, "--port", str(self.port)],
                                        stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("port "):
            raise RuntimeError(f"scripted-engine ended with status {self.process.wait()}")
        self.port = int(line.split()[1])
        self.http = Http("127.0.0.1", self.port)
        return self

    def kill(self):
        """Its connections are reset, its port refuses."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None

    stop = kill

    def log(self):
        """Requests so far, the oldest first: log.h says what is told of each."""
        return self.http.get("/script/log").expect(200)["requests"]

    def wait_log(self, condition, timeout=10):
        """Until the log has an entry for which `condition(entry)`; returns the first one."""
        def found():
            return next((entry for entry in self.log() if condition(entry)), None)
        return wait_for(found, timeout, "an entry of the engine's log")

    def totals(self):
        return self.http.get("/script/totals").expect(200)

    def wait_idle(self, timeout=10):
        """Until no request is under way."""
        wait_for(lambda: self.totals()["in_progress"] == 0, timeout, "the engine is idle")

    def reset(self):
        self.http.post("/script/reset").expect(200)

    def set_default(self, script):
        """Changes what is done without a script, from the next request on."""
        self.http.post("/script/default", script.encode()).expect(200)

    def next(self, *scripts):
        """A script for each of the next requests, over all others."""
        self.http.post("/script/next", "\n".join(scripts).encode()).expect(200)


# --- control -------------------------------------------------------------------------------------


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
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self.reply(401, {"message": "wrong token"})
        elif self.path == "/v2/usage-records":
            self.reply(*control.take_records(body))
        elif self.path == "/v2/key-uses":
            control.take_uses(body)
            self.reply(204)
        else:
            self.reply(404, {"message": "no such path"})

    def do_GET(self):
        control = self.server.control
        if self.path != "/v2/gateway-feed" or self.headers["Authorization"] != f"Bearer {TOKEN}":
            self.reply(404, {"message": "no such path"})
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.end_headers()
        try:
            for text in control.feed():
                self.wfile.write(text.encode())
        except OSError:
            pass  # the gateway has gone
        self.close_connection = True


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_):
        pass  # a gateway that was killed


class FeedControl:
    """Control as a gateway sees it. It may be stopped and started again on the same port."""

    def __init__(self):
        self.news = threading.Condition()
        self.objects = {kind: {} for kind in KINDS}
        self.seq = 0
        self.changes = []          # lines since the beginning; the state is told from `objects`
        self.records = []          # usage records, each once, in the order of arrival
        self.applied = {}          # gateway's uuid -> highest seq
        self.passed_over = 0       # records that came again
        self.batches = []          # sizes of the batches of records
        self.usage_status = 200    # other than 200: batches are refused with it
        self.answers_usage = True  # False: a batch is applied, but its answer is a 500
        self.uses = []             # of keys
        self.port = 0
        self.server = None

    # --- serving ---

    def start(self):
        self.server = Server(("127.0.0.1", self.port), Handler)
        self.server.control = self
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        """Streams end, the port refuses."""
        server, self.server = self.server, None
        with self.news:
            self.news.notify_all()
        server.shutdown()
        server.server_close()

    # --- the feed ---

    def snapshot(self):
        yield {"op": "reset", "seq": self.seq}
        for kind in KINDS:
            for members in self.objects[kind].values():
                yield {"op": "put", "seq": self.seq, "kind": kind, **members}
        yield {"op": "ready", "seq": self.seq}

    def feed(self):
        """Text of the stream, heartbeats included, until this server is stopped."""
        server = self.server
        with self.news:
            lines, told = list(self.snapshot()), len(self.changes)
        while self.server is server:
            yield "".join(json.dumps(line) + "\n" for line in lines) or "\n"
            with self.news:
                if len(self.changes) == told and self.server is server:
                    self.news.wait(2)
                lines, told = self.changes[told:], len(self.changes)

    def tell(self, op, kind, members):
        self.seq += 1
        self.changes.append({"op": op, "seq": self.seq, "kind": kind, **members})
        self.news.notify_all()

    def put(self, kind, members):
        identity = members["id"]
        if kind == "spending":
            identity = (members["subject"], members["id"], members["gateway"])
        with self.news:
            self.objects[kind][identity] = members
            self.tell("put", kind, members)

    def delete(self, kind, identity):
        with self.news:
            del self.objects[kind][identity]
            self.tell("del", kind, {"id": identity})

    # --- what gateways tell ---

    def take_records(self, body):
        with self.news:
            if self.usage_status != 200:
                return self.usage_status, {"message": "refused by the test"}
            gateway, records = body["gateway"], body["records"]
            self.batches.append(len(records))
            for record in records:
                if record["seq"] <= self.applied.get(gateway, 0):
                    self.passed_over += 1
                    continue
                self.applied[gateway] = record["seq"]
                self.records.append({"gateway": gateway, **record})
            self.news.notify_all()
            if not self.answers_usage:
                return 500, {"message": "the answer was lost by the test"}
            return 200, {"applied": self.applied.get(gateway, 0)}

    def take_uses(self, body):
        with self.news:
            self.uses += body["uses"]
            self.news.notify_all()


# --- the gateway ---------------------------------------------------------------------------------


class ScriptedGateway:
    """`gpustack gateway` on its own. One thread, unless `threads` says more: with one, what put()
    has changed is in force for whatever comes after."""

    def __init__(self, binary, folder, args=(), threads=1, env=None):
        self.binary, self.folder = str(binary), pathlib.Path(folder)
        self.args, self.threads, self.env = list(args), threads, dict(env or {})
        self.prefix = []           # before the command: ["taskset", "-c", "0"]
        self.data_dir = self.folder / "gateway"
        self.log_path = self.folder / "gateway.log"
        self.port = harness.free_ports()
        self.control = FeedControl()
        self.control.start()
        self.server_url = self.control.url  # or of something between the two
        self.engines = []
        self.process = None
        self.last_id = 100
        self.put("user", id=1)
        self.key = self.add_key(id=1)

    # --- its process ---

    def command(self):
        return [*self.prefix, self.binary, "gateway", "--server-url", self.server_url, "--host",
                "127.0.0.1", "--port", str(self.port), "--gateway-threads", str(self.threads),
                "--data-dir", str(self.data_dir), *self.args]

    def start(self, alone=False):
        """`alone`: it won't find control."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        environment = {key: value for key, value in os.environ.items()
                       if not key.startswith("GPUSTACK_")}
        environment |= {"GPUSTACK_TOKEN": TOKEN, **self.env}
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=environment)
        if alone:
            wait_for(lambda: self.http().get("/healthz").status == 200, 20, "the gateway serves")
        else:
            wait_for(self.is_ready, 20, "the gateway is ready")
        return self

    def is_ready(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"the gateway ended with {self.process.returncode}:\n{self.log()}")
        return self.http().get("/readyz").status == 200

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def stop_process(self, timeout=40):
        """SIGTERM and wait; returns the exit status."""
        self.process.terminate()
        return self.process.wait(timeout)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Ends all of it."""
        if self.process and self.process.poll() is None:
            self.kill()
        for engine in self.engines:
            engine.stop()
        if self.control.server:
            self.control.stop()

    # --- its state ---

    def next_id(self):
        self.last_id += 1
        return self.last_id

    def put(self, kind, sync=True, **members):
        """Adds or replaces an object: what isn't named is as in MEMBERS. Returns its id."""
        members.setdefault("id", self.next_id())
        self.control.put(kind, {**MEMBERS[kind], **members})
        if sync:
            self.sync()
        return members["id"]

    def change(self, kind, identity, **members):
        """Changes members of an object that there is."""
        return self.put(kind, **{**self.control.objects[kind][identity], **members})

    def delete(self, kind, identity):
        self.control.delete(kind, identity)
        self.sync()

    def sync(self):
        """Until the gateway has taken up all that control has told: it then knows a fresh key."""
        if not self.process or self.process.poll() is not None or not self.control.server:
            return
        value, members = make_key()
        self.control.put("key", {**MEMBERS["key"], "id": SYNC_KEY, **members})
        client = self.http(value)
        wait_for(lambda: client.get("/v1/models").status == 200, 10,
                 "the gateway follows the feed", pause=0.003)

    def add_key(self, **members):
        """Another API key; returns its value. Its id is in `control.objects["key"]`."""
        value, made = make_key()
        self.put("key", **{**made, **members})
        return value

    def model_id(self, name):
        """The id of a model, which is made when there is none of that name."""
        for identity, members in self.control.objects["model"].items():
            if members["name"] == name:
                return identity
        return self.put("model", name=name)

    def add_endpoint(self, port, model="m", **members):
        """An instance of a model at a port of this machine; returns its id."""
        return self.put("endpoint", **{"name": f"{model}-{port}", "model_id": self.model_id(model),
                                       "local_port": port, "netns_id": netns_id(), **members})

    def add_engine(self, default="", model="m", args=(), **members):
        """Starts a scripted engine as an instance of a model; `endpoint_id` is its instance's."""
        engine = ScriptedEngine(default, args=args).start()
        self.engines.append(engine)
        engine.endpoint_id = self.add_endpoint(engine.port, model, **members)
        return engine

    # --- its clients ---

    def http(self, key=None, timeout=30):
        return Http("127.0.0.1", self.port, key, timeout)

    def client(self):
        """Requests with a key without limits."""
        return self.http(self.key)

    def post(self, path="/v1/chat/completions", key=None, **body):
        """A request for the model "m" unless the body says otherwise; returns the reply."""
        if path.endswith("/chat/completions"):
            body.setdefault("messages", [{"role": "user", "content": "Go"}])
        return self.http(key or self.key).post(path, {"model": "m", **body})

    def wait_on_disk(self, count):
        """Until the journal's files have so many records: a SIGKILL loses no more of them."""
        folder = self.data_dir / "gateway/usage"
        wait_for(lambda: sum(path.read_bytes().count(b'"crc32c"')
                             for path in folder.glob("0*.ndjson")) >= count,
                 what=f"{count} records on the disk")

    def wait_records(self, count, timeout=20):
        """Until control has got so many usage records; returns all of them."""
        def enough():
            if len(self.control.records) < count:
                raise ValueError(f"{len(self.control.records)} records")
            return self.control.records
        return wait_for(enough, timeout, f"{count} usage records")


class SecondGateway:
    """`gpustack gateway` with a data folder of its own beside a cluster."""

    def __init__(self, cluster, folder):
        self.port = harness.free_ports()
        self.log = open(folder / "second.log", "ab")
        self.process = subprocess.Popen(
            [cluster.binary, "gateway", "--server-url", cluster.url, "--token", cluster.token(),
             "--host", "127.0.0.1", "--port", str(self.port), "--data-dir", str(folder / "second")],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        wait_for(lambda: self.http().get("/readyz").status == 200, what="the second gateway")

    def http(self, key=None):
        return Http("127.0.0.1", self.port, key)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.log.close()
