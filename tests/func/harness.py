# SPDX-License-Identifier: Apache-2.0
"""Starts real gpustack processes for a test and looks at them from outside.

    cluster = Cluster(binary, engine_dir, folder)
    cluster.start()                                  # returns when it serves
    cluster.deploy("hello", model_file)              # returns when the model runs
    reply = cluster.http(cluster.api_key()).post("/v1/chat/completions", {...})
    cluster.kill("gateway")                          # SIGKILL, by role
    worker = cluster.add_worker("w2")                # another node, in its own folder
    cluster.stop()                                   # everything, engines too

Nothing here waits for a fixed time: wait_for() polls a condition up to a deadline and says what it
saw last. Ports are free ones, data lies in `folder`, so tests don't disturb each other.
"""

import base64
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time

PASSWORD = "Harness-1!"
STRONG = "Str0ng_Enough" # passwords of users that tests make
STRONGER = "Even_Str0nger"
NO_HUB = "http://127.0.0.1:1"   # no test reaches out for a hub unless it says so
LOG_LINES = 80
ENGINE_PORTS = 8

# Nodes that were made and not stopped yet; conftest.py shows their logs when a test fails.
nodes = []
nodes_lock = threading.Lock()      # while ports are chosen for another one


def wait_for(condition, timeout=20, what="condition", pause=0.02):
    """Polls until `condition()` is true and returns its value; an exception counts as false."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            seen = condition()
            if seen:
                return seen
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            seen = repr(error)
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not after {timeout} s; last seen: {seen!r}")
        time.sleep(pause)


def free_ports(count=1):
    """The first of `count` ports in a row that nothing listens on, below the ephemeral range."""
    first = 20000 + os.getpid() * 64 % 10000
    for start in range(first, 32000, count):
        sockets = []
        try:
            for port in range(start, start + count):
                sockets.append(socket.create_server(("0.0.0.0", port)))
            if not any(start < node.last_port and node.first_port < start + count
                       for node in nodes):
                return start
        except OSError:
            pass
        finally:
            for one in sockets:
                one.close()
    raise OSError("no free ports")


# --- HTTP ----------------------------------------------------------------------------------------


class Reply:
    """A whole response."""

    def __init__(self, response):
        self.status = response.status
        self.headers = {key.lower(): value for key, value in response.getheaders()}
        self.body = response.read()

    @property
    def text(self):
        return self.body.decode()

    def json(self):
        return json.loads(self.body)

    def expect(self, *statuses):
        """Returns the JSON body, or the text of another type; fails on a status not named."""
        assert self.status in statuses, f"status {self.status}: {self.text[:2000]}"
        is_json = "json" in self.headers.get("content-type", "")
        return self.json() if is_json else self.text


class Http:
    """Requests to one address, each on a connection of its own; `auth` is an Authorization value
    or an API key."""

    def __init__(self, host, port, auth=None, timeout=30):
        self.host, self.port, self.timeout = host, port, timeout
        self.url = f"http://{host}:{port}"
        self.headers = {}
        if auth:
            self.headers["Authorization"] = auth if " " in auth else f"Bearer {auth}"

    def connect(self, timeout):
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)

    def open(self, method, path, body=None, headers=None, timeout=None):
        """Sends and returns (connection, response) with the body unread: for streams. A dict or
        list goes as JSON, bytes as they are. The caller closes the connection."""
        headers = {**self.headers, **(headers or {})}
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        connection = self.connect(timeout or self.timeout)
        try:
            connection.request(method, path, body, headers)
            return connection, connection.getresponse()
        except BaseException:
            connection.close()
            raise

    def request(self, method, path, body=None, headers=None, timeout=None):
        connection, response = self.open(method, path, body, headers, timeout)
        try:
            return Reply(response)
        finally:
            connection.close()

    def lines(self, method, path, body=None, headers=None, timeout=None):
        """Yields the lines of a streamed 200 response as they come, without line ends."""
        connection, response = self.open(method, path, body, headers, timeout)
        try:
            assert response.status == 200, f"status {response.status}: {response.read()[:2000]}"
            for line in response:
                yield line.decode().rstrip("\r\n")
        finally:
            connection.close()

    def events(self, path, body, **options):
        """Yields the data of server-sent events of a POST ("[DONE]" is the last of OpenAI's)."""
        for line in self.lines("POST", path, body, **options):
            if line.startswith("data: "):
                yield line[6:]

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post(self, path, body=None, **options):
        return self.request("POST", path, body, **options)

    def put(self, path, body=None, **options):
        return self.request("PUT", path, body, **options)

    def delete(self, path, **options):
        return self.request("DELETE", path, **options)


class UnixConnection(http.client.HTTPConnection):
    """To a socket in the file system."""

    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class UnixHttp(Http):
    """The same over a unix socket: UnixHttp(data_dir / "run/admin.sock") is the administrator."""

    def __init__(self, path, timeout=30):
        super().__init__("localhost", 0, timeout=timeout)
        self.path = path

    def connect(self, timeout):
        return UnixConnection(self.path, timeout)


class Stream(threading.Thread):
    """Reads a streamed chat completion in a thread of its own.

        with Stream(cluster.user(), "endless", max_tokens=100) as stream:
            wait_for(lambda: stream.count > 10)
    """

    def __init__(self, user, model, **fields):
        super().__init__(daemon=True)
        self.count = 0             # events so far
        self.events = []           # the last two
        self.error = None          # what broke it, if anything
        body = {"model": model, "messages": [{"role": "user", "content": "Go"}], "stream": True,
                **fields}
        self.connection, self.response = user.open("POST", "/v1/chat/completions", body)
        assert self.response.status == 200, self.response.read()
        self.start()

    def lines(self):
        return self.response

    def run(self):
        try:
            for line in self.lines():
                if line.startswith(b"data: "):
                    self.events = [*self.events[-1:], line[6:].decode().strip()]
                    self.count += 1
        except (OSError, ValueError, AttributeError, http.client.HTTPException) as error:
            self.error = error

    def ended_normally(self):
        """After join(): the engine's last words came, whole."""
        if self.is_alive() or self.error or self.events[-1:] != ["[DONE]"]:
            return False
        return json.loads(self.events[0])["choices"][0]["finish_reason"] in ("stop", "length")

    def close(self):
        """Goes away without a word, as a client that was killed."""
        sock = self.connection.sock or self.response.fp.raw._sock
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass # it has ended
        self.join(10)
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def basic_auth(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def login(cluster, name, password):
    """Requests with the cookie of a fresh login, and the answer to it."""
    reply = cluster.http().post("/auth/login", {"username": name, "password": password})
    answer = reply.expect(200)
    cookie = reply.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Path=/" in cookie
    user = cluster.http()
    user.headers["Cookie"] = cookie.partition(";")[0]
    return user, answer


def names(page, key="name"):
    return [item[key] for item in page["items"]]


# --- processes -----------------------------------------------------------------------------------


def read_proc(pid, name):
    """Content of /proc/PID/NAME split at NULs; empty when the process is gone."""
    try:
        return (pathlib.Path("/proc") / str(pid) / name).read_bytes().decode(
            errors="replace").split("\0")
    except OSError:
        return []


def all_pids():
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def is_alive(pid):
    """False for a zombie too."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def connections_to(port, pid):
    """Local ports of the TCP connections that process `pid` holds open to 127.0.0.1:`port`."""
    inodes = set()
    for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(entry)
        except OSError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    found = set()
    for line in pathlib.Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[2] == f"0100007F:{port:04X}" and fields[9] in inodes:
            found.add(int(fields[1].rpartition(":")[2], 16))
    return found


def engine_token(pid):
    """The bearer token that the engine `pid` takes requests with."""
    for entry in read_proc(pid, "environ"):
        if entry.startswith("LLAMA_API_KEY="):
            return entry.partition("=")[2]
    raise ValueError(f"no token in the environment of engine {pid}")


def pss_bytes(pid):
    """Proportional share of memory of a process."""
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


class Node:
    """One `gpustack start` with a data directory of its own."""

    ready_path = "/healthz"

    def __init__(self, binary, engine_dir, folder, name, args=(), env=None):
        self.binary, self.engine_dir, self.name = str(binary), engine_dir, name
        self.data_dir = pathlib.Path(folder) / name
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.log_path = self.data_dir / "harness.log"
        self.args, self.env = list(args), dict(env or {})
        self.process = None
        with nodes_lock:
            self.first_port = free_ports(2 + ENGINE_PORTS)
            self.last_port = self.first_port + 2 + ENGINE_PORTS
            nodes.append(self)
        self.port, self.worker_port = self.first_port, self.first_port + 1
        self.host = "127.0.0.1"    # where this node is asked whether it is ready
        self.netns = None          # name of a network namespace to run in

    def command(self):
        engines = self.first_port + 2
        inside = ["ip", "netns", "exec", self.netns] if self.netns else []
        return [*inside, self.binary, "start", "--data-dir", str(self.data_dir),
                "--bin-dir", str(self.engine_dir), "--worker-port", str(self.worker_port),
                "--service-port-range", f"{engines}-{self.last_port - 1}", *self.args]

    def start(self, wait=True, timeout=20):
        environment = {key: value for key, value in os.environ.items()
                       if not key.startswith("GPUSTACK_")}
        environment.update(HF_ENDPOINT=NO_HUB, MODELSCOPE_ENDPOINT=NO_HUB)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env={**environment, **self.env},
                                            start_new_session=True)
        if self not in nodes:
            nodes.append(self)
        if wait:
            self.wait_ready(timeout)
        return self

    def ready_port(self):
        return self.worker_port

    def is_ready(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.name} ended with status {self.process.returncode}:\n"
                               + self.log_tail())
        return Http(self.host, self.ready_port(), timeout=2).get(self.ready_path).status == 200

    def wait_ready(self, timeout=20):
        wait_for(self.is_ready, timeout, f"{self.name} is ready")

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_tail(self, lines=LOG_LINES):
        return "\n".join(self.log().splitlines()[-lines:])

    def pids(self, role):
        """Pids of a role of this node: "start" (the supervisor), "control", "gateway", "worker",
        "prober"."""
        if role == "prober":
            workers = self.pids("worker")
            return [pid for pid in all_pids() if read_proc(pid, "cmdline")[1:2] == ["prober"]
                    and parent(pid) in workers and is_alive(pid)]
        found = []
        for pid in all_pids():
            argv = read_proc(pid, "cmdline")
            if argv[1:2] == [role] and str(self.data_dir) in argv and is_alive(pid):
                found.append(pid)
        return found

    def pid(self, role, timeout=10):
        """The one pid of a role, waited for."""
        return wait_for(lambda: self.pids(role), timeout, f"{self.name} has a {role}")[0]

    def kill(self, role, sig=signal.SIGKILL):
        """Signals a role and returns its pid; the supervisor will start another one."""
        pid = self.pid(role)
        os.kill(pid, sig)
        if sig == signal.SIGKILL:
            wait_for(lambda: not is_alive(pid), 5, f"{role} {pid} is gone")
        return pid

    def engine_pids(self):
        """Engines of this node's worker, found by the label in their environment."""
        try:
            label = "GPUSTACK_WORKER_UUID=" + (self.data_dir / "worker_uuid").read_text().strip()
        except OSError:
            return []
        return [pid for pid in all_pids() if label in read_proc(pid, "environ") and is_alive(pid)]

    def stop_manager(self, timeout=40):
        """SIGTERM and wait, as an operator does; engines stay. Returns the exit status."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(timeout)

    def stop(self):
        """Ends all that belongs to this node, whatever state it is in."""
        try:
            self.stop_manager(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        leftover = [pid for role in ("start", "control", "gateway", "worker")
                    for pid in self.pids(role)] + self.engine_pids()
        for pid in leftover:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        wait_for(lambda: not any(map(is_alive, leftover)), 10, f"all of {self.name} is gone")
        if self in nodes:
            nodes.remove(self)


def parent(pid):
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[1])


class Worker(Node):
    """A node that only runs models for a cluster."""

    def __init__(self, cluster, name, args=(), env=None):
        super().__init__(cluster.binary, cluster.engine_dir, cluster.folder, name, args, env)
        self.cluster = cluster
        self.server_url = cluster.url

    def command(self):
        return super().command() + ["--server-url", self.server_url, "--token",
                                    self.cluster.token(), "--worker-name", self.name]


class Cluster(Node):
    """A server (with its own worker, unless args say --disable-worker) and further workers."""

    ready_path = "/readyz"

    def __init__(self, binary, engine_dir, folder, args=(), env=None, name="server"):
        super().__init__(binary, engine_dir, folder, name, args, env)
        self.folder = pathlib.Path(folder)
        self.url = f"http://127.0.0.1:{self.port}"
        self.listen = "127.0.0.1"
        self.workers = []
        self._api_key = None

    def command(self):
        return super().command() + ["--port", str(self.port), "--host", self.listen,
                                    "--bootstrap-password", PASSWORD]

    def ready_port(self):
        return self.port

    def http(self, auth=None, timeout=30):
        return Http("127.0.0.1", self.port, auth, timeout)

    def port_is_closed(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) != 0

    def token(self):
        return (self.data_dir / "token").read_text().strip()

    def api_key(self):
        """An API key of the administrator, made once: a password would be hashed every time."""
        if not self._api_key:
            self._api_key = self.make_key({"name": "harness"},
                                          self.http(basic_auth("admin", PASSWORD)))
        return self._api_key

    @property
    def admin(self):
        """Requests of the administrator."""
        return self.http(self.api_key())

    def make_key(self, body, owner=None):
        """Makes an API key and returns its value when the gateway knows it too."""
        value = (owner or self.admin).post("/v2/api-keys", body).expect(200, 201)["value"]
        wait_for(lambda: self.http(value).get("/v1/models").status != 401, 5,
                 "the gateway knows the key")
        return value

    def user(self):
        """Requests with the same key, as an application makes them."""
        return self.http(self.api_key())

    def add_worker(self, name, args=(), env=None, **attributes):
        """Another node that models can be placed on; attributes as netns are set before its
        start."""
        worker = Worker(self, name, args, env)
        for attribute, value in attributes.items():
            setattr(worker, attribute, value)
        self.workers.append(worker)
        worker.start()
        wait_for(lambda: self.worker_memory(name), 20, f"worker {name} has reported its memory")
        return worker

    def items(self, path):
        return self.admin.get(path).expect(200)["items"]

    def worker_state(self, name):
        return {item["name"]: item["state"] for item in self.items("/v2/workers")}.get(name)

    def worker_memory(self, name):
        """Bytes of memory that a worker has; 0 before its first report."""
        for item in self.items("/v2/workers"):
            if item["name"] == name and item["state"] == "ready" and item["status"]:
                return item["status"]["memory"]["total"]
        return 0

    def model(self, name):
        """The model's object, or None."""
        return {item["name"]: item for item in self.items("/v2/models")}.get(name)

    def instances(self, name):
        return [item for item in self.items("/v2/model-instances") if item["model_name"] == name]

    def deploy(self, name, model_file, wait=True, timeout=30, **fields):
        """Creates a model from a local file; other fields as the API names them."""
        body = {"name": name, "source": "local_path", "local_path": str(model_file), "replicas": 1,
                **fields}
        model = self.admin.post("/v2/models", body).expect(200, 201)
        if wait:
            self.wait_running(name, body["replicas"], timeout)
        return model

    def wait_running(self, name, count=1, timeout=30):
        """Until exactly `count` instances exist and all run and the gateway serves the model."""

        def run():
            found = self.instances(name)
            if [item["state"] for item in found] != ["running"] * count:
                raise ValueError([(item["state"], item["state_message"]) for item in found])
            if count and name not in self.served():
                raise ValueError(f"/v1/models does not list {name}")
            return True

        wait_for(run, timeout, f"{count} instances of {name} run")
        return self.instances(name)

    def served(self):
        """Names that GET /v1/models lists."""
        return [item["id"] for item in self.user().get("/v1/models").expect(200)["data"]]

    def kill_engine(self, name):
        """SIGKILL for the engine of the model's first instance; returns its pid."""
        pid = self.instances(name)[0]["pid"]
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not is_alive(pid), 5, f"engine {pid} is gone")
        return pid

    def delete_model(self, name):
        """Removes a model and waits until its instances are gone."""
        self.admin.delete(f"/v2/models/{self.model(name)['id']}").expect(200, 204)
        wait_for(lambda: not self.instances(name), 30, f"instances of {name} are gone")

    def chat(self, model, text="Who are you?", **fields):
        """Text of the answer of a chat completion."""
        body = {"model": model, "messages": [{"role": "user", "content": text}], **fields}
        reply = self.user().post("/v1/chat/completions", body).expect(200)
        return reply["choices"][0]["message"]["content"]

    def stop(self):
        for worker in self.workers:
            worker.stop()
        self.workers.clear()
        super().stop()
