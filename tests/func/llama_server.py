# SPDX-License-Identifier: Apache-2.0
"""llama-server by itself, and what it says about its memory when it starts.

    engine = LlamaServer(engine_dir)
    sizes = engine.sizes(model, "-c", "4096")
    sizes["CPU"]["compute"]                         # MiB, as logged
    with engine.lend_devices(2) as rpc:             # rpc servers: devices as far as it is concerned
        engine.sizes(model, "--rpc", rpc)
"""

import contextlib
import os
import pathlib
import re
import socket
import subprocess

import harness

_SIZE = re.compile(r"(\S+) +(model|KV|RS|compute|output) buffer size = +([\d.]+) MiB")
_PARTS = {"model": "weights", "KV": "cache", "RS": "state", "compute": "compute",
          "output": "outputs"}


def _list_of(text, key):
    block = re.search(rf"^( *){key}:\n((?:\1 *- .*\n?)+)", text, re.M).group(2)
    return re.findall(r'- "?([^"\n]+)"?', block)


class LlamaServer:
    """The installed llama.cpp of an engine folder."""

    def __init__(self, engine_dir):
        home, = pathlib.Path(engine_dir).glob("llama.cpp_*")
        text = (home / "engine.yaml").read_text().replace("{dir}", str(home))
        self.command = _list_of(text.split("rank:")[0], "command")
        self.rank_command = _list_of(text.split("rank:")[1], "command")
        self.env = dict(os.environ)
        self.env |= dict(re.findall(r'^  ([A-Z_]+): "([^"]+)"', text, re.M))
        self.version = re.search(r'version: "([^"]+)"', text).group(1)

    def log_of_start(self, model, *args):
        """Its lines up to the moment when it serves; it is ended then."""
        port = str(harness.free_ports())
        command = [*self.command, "-m", str(model), "--host", "127.0.0.1", "--port", port,
                   "--no-warmup", "--verbose", "-fit", "off", *args]
        process = subprocess.Popen(command, env=self.env, text=True, errors="replace",
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        lines = []
        try:
            for line in process.stdout:
                lines.append(line)
                if "listening on http" in line:
                    return lines
        finally:
            process.kill()
            process.stdout.close()
            process.wait()
        raise AssertionError(f"{command}:\n" + "".join(lines[-20:]))

    def sizes(self, model, *args):
        """{place: {part: MiB}}; places are "host", and "0", "1", ... for lent devices."""
        sizes = {}
        devices = []
        for line in self.log_of_start(model, *args):
            found = _SIZE.search(line)
            if not found:
                continue
            place = "host"
            if "RPC" in found[1]:
                endpoint = found[1].split("[")[-1]
                if endpoint not in devices:
                    devices.append(endpoint)
                place = str(devices.index(endpoint))
            part = sizes.setdefault(place, {})
            part[_PARTS[found[2]]] = part.get(_PARTS[found[2]], 0) + float(found[3])
        return sizes

    @contextlib.contextmanager
    def lend_devices(self, count):
        """Value for --rpc: this machine's processor as so many devices."""
        first = harness.free_ports(count)
        servers = []
        try:
            for port in range(first, first + count):
                command = [*self.rank_command, "--host", "127.0.0.1", "--port", str(port)]
                servers.append(subprocess.Popen(command, env=self.env, stdout=subprocess.DEVNULL,
                                                stderr=subprocess.DEVNULL))
            for port in range(first, first + count):
                harness.wait_for(lambda port=port: _answers(port), what=f"port {port}")
            yield ",".join(f"127.0.0.1:{port}" for port in range(first, first + count))
        finally:
            for server in servers:
                server.kill()
                server.wait()


def _answers(port):
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
