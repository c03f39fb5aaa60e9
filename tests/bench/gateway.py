# SPDX-License-Identifier: Apache-2.0
"""The gateway beside nginx and HAProxy: CPU per request and per event, latency, memory, faults.

    ./bench gateway                        # all cells
    tests/bench/gateway.py chat sse        # some; --help lists them

The proxy under test has core 0 for itself; the scripted engine and the load generator share core 1.
Rounds go A B C, C B A, ..., figures are medians. doc/benchmarks.md says what each one is.

GPUSTACK_BENCH_ROUNDS (5), _SECONDS (5) of each measurement, _STREAMS (10000), _STEP_MS (50) between
their events, _REQUESTS (1000000, of the cell idle) change the size.
"""

import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import tempfile
import time
from statistics import median

import proxies
import report
import harness
import scripted

ROUNDS = int(os.environ.get("GPUSTACK_BENCH_ROUNDS", "5"))
SECONDS = int(os.environ.get("GPUSTACK_BENCH_SECONDS", "5"))
STREAMS = int(os.environ.get("GPUSTACK_BENCH_STREAMS", "10000"))
STEP_MS = int(os.environ.get("GPUSTACK_BENCH_STEP_MS", "50"))
REQUESTS = int(os.environ.get("GPUSTACK_BENCH_REQUESTS", "1000000"))
PROXY_CORE, OTHER_CORE = 0, 1
DESCRIPTORS = 65536
STREAM_EVENTS = 200
MIB = 1 << 20

CHAT = '{"model":"m","max_tokens":20,"messages":[{"role":"user","content":"PAD"}]}'
STREAM = '{"model":"m","stream":true,"messages":[{"role":"user","content":"PAD"}]}'
CHAT_SCRIPT = "look=0 stream=0 chunks=20 bytes=28"      # about 850 bytes
# Limits that are on and never reached, so that their cost is in all figures.
LIMITS = {"requests_per_minute": 10**9, "tokens_per_minute": 10**9, "concurrent_requests": 10**6,
          "token_budget": 10**15, "budget_period": "never"}


class Direct:
    """No proxy at all."""

    def __init__(self, engine):
        self.name, self.port, self.stream_port = "direct", engine.port, engine.port

    def pids(self):
        return []


class Gateway:
    """`gpustack gateway` with keys, limits and usage, on the proxies' core."""

    path = "/v1/chat/completions"

    def __init__(self, folder, engine, args=(), binary=None, name="gateway", is_bare=False):
        self.name = name
        self.scripted = scripted.ScriptedGateway(binary or report.BINARY, folder, args=args)
        self.scripted.prefix = ["taskset", "-c", str(PROXY_CORE)]
        self.port = self.stream_port = self.scripted.port
        self.key = self.scripted.add_key(id=2, **LIMITS)
        self.scripted.change("user", 1, **LIMITS)
        self.scripted.put("model", id=1, name="m", **LIMITS)
        self.scripted.add_endpoint(engine.port)
        if is_bare:
            self.front = proxies.ControlFront(folder, self.scripted.control.url, OTHER_CORE)
            self.scripted.server_url = f"http://127.0.0.1:{self.front.port}"
            self.path = "/v2/bench"
        self.scripted.start()

    def pids(self):
        return [self.scripted.pid]

    def memory(self):
        """Anonymous memory in bytes: the process's own, without its text and files."""
        status = pathlib.Path(f"/proc/{self.scripted.pid}/status").read_text()
        return int(re.search(r"RssAnon:\s+(\d+)", status)[1]) * 1024

    def stop(self):
        self.scripted.stop()
        if self.path != Gateway.path:
            self.front.stop()


class Bench:
    def __init__(self, folder, out):
        self.folder, self.out = pathlib.Path(folder), out
        self.generator = scripted.build_program("load/load-generator")
        self.started = []
        self.engine = self.start_engine()

    def start(self):
        self.gateway = self.add(Gateway(self.sub("own"), self.engine))
        self.direct = Direct(self.engine)
        self.nginx = self.add(proxies.Nginx(self.sub("nginx"), self.engine.port, PROXY_CORE))
        self.haproxy = self.add(proxies.Haproxy(self.sub("haproxy"), self.engine.port, PROXY_CORE))

    def sub(self, name):
        (self.folder / name).mkdir()
        return self.folder / name

    def add(self, proxy):
        self.started.append(proxy)
        return proxy

    def fresh(self, name, **options):
        """A gateway that has done nothing yet."""
        return self.add(Gateway(self.sub(name), self.engine, name=name, **options))

    def start_engine(self):
        program = scripted.engine_program()
        engine = scripted.ScriptedEngine(args=["--quiet"])
        engine.command = ["taskset", "-c", str(OTHER_CORE), str(program), *engine.command[1:]]
        return engine.start()

    def close(self):
        for proxy in self.started:
            proxy.stop()
        self.engine.stop()

    def set_script(self, script):
        """What the engine does from now on, all of it."""
        self.engine.reset()
        self.engine.set_default(script)

    # --- load ---

    def command(self, target, body=CHAT, pad=900, stream=False, **options):
        """Of the load generator; options are its own, '_' for '-'."""
        words = ["taskset", "-c", str(OTHER_CORE), str(self.generator), "--port",
                 str(target.stream_port if stream else target.port), "--body", body, "--pad",
                 str(pad), "--header", f"Authorization: Bearer {self.key(target)}", "--core",
                 str(PROXY_CORE), "-c", str(options.pop("c", 1)),
                 "--path", getattr(target, "path", Gateway.path)]
        for pid in target.pids():
            words += ["--pid", str(pid)]
        for name, value in options.items():
            words += [f"--{name.replace('_', '-')}", str(value)]
        return words

    def key(self, target):
        return getattr(target, "key", self.gateway.key)

    def load(self, target, **options):
        """One measurement without an error."""
        options.setdefault("warmup", 1)
        if "requests" not in options:
            options.setdefault("seconds", SECONDS)
        done = subprocess.run(self.command(target, **options), stdout=subprocess.PIPE, text=True)
        result = json.loads(done.stdout)
        faults = {name: count for name, count in result["errors"].items() if count}
        assert not faults, f"{target.name}: {faults} of {result['requests']} requests"
        return result

    def rounds(self, targets, script, **options):
        """{name: [result, ...]} of interleaved measurements."""
        self.set_script(script)
        results = {target.name: [] for target in targets}
        for number in range(ROUNDS):
            for target in targets if number % 2 == 0 else reversed(targets):
                results[target.name].append(self.load(target, **options))
        return results

    def compare_cpu(self, targets, of, script, **options):
        """{name: median of the CPU microseconds for each of `of`: "ok" or "events"}; tells all."""
        found = {}
        for name, results in self.rounds(targets, script, **options).items():
            row = [result["cpu_ns"] / result[of] / 1000 for result in results]
            core = median(result["core_ns"] / result[of] / 1000 for result in results)
            rate = median(result[of] / result["ns"] * 1e9 for result in results)
            found[name] = median(row)
            print(f"({name}: {found[name]:.2f} us CPU, {min(row):.2f} to {max(row):.2f}; the whole "
                  f"core {core:.2f}; {rate:.0f} a second)", flush=True)
        return found

    # --- cells ---

    def chat(self):
        """c=64: CPU per small request"""
        found = self.compare_cpu([self.gateway, self.nginx, self.haproxy], "ok", CHAT_SCRIPT, c=64)
        self.out.add("chat_cpu_vs_nginx", found["gateway"] / found["nginx"], "x", "<=", 1)
        self.out.add("chat_cpu_vs_haproxy", found["gateway"] / found["haproxy"], "x", "<=", 0.8)
        self.out.tell("chat_cpu_us", found["gateway"], "us")

    def governance(self):
        """c=64: keys, limits and usage on against a request that is only passed on"""
        bare = self.fresh("bare", is_bare=True)
        found = self.compare_cpu([self.gateway, bare], "ok", CHAT_SCRIPT, c=64)
        cost = found["gateway"] - found["bare"]
        self.out.add("governance_us", cost, "us", "<=", 3)
        self.out.add("governance_percent", cost / found["bare"] * 100, "%", "<=", 10)

    def latency(self):
        """c=1: what a proxy adds"""
        targets = [self.direct, self.gateway, self.nginx]
        results = self.rounds(targets, CHAT_SCRIPT, c=1)
        for part in ("p50", "p99"):
            found = {name: median(result["latency"][part] for result in row)
                     for name, row in results.items()}
            own, nginx = (found[name] - found["direct"] for name in ("gateway", "nginx"))
            print(f"(c=1 {part}: direct {found['direct']:.1f} us; added by the gateway "
                  f"{own:.1f}, by nginx {nginx:.1f})")
            self.out.add(f"latency_c1_{part}_vs_nginx", own / nginx, "x", "<=", 1)

    def sse(self):
        """100 streams with 250 events a second each: CPU per event"""
        found = self.compare_cpu([self.gateway, self.nginx, self.haproxy], "events",
                                 "look=0 stream=1 chunks=500 delay_ms=4", body=STREAM, stream=True,
                                 c=100, events=500)
        self.out.add("sse_cpu_vs_nginx", found["gateway"] / found["nginx"], "x", "<=", 1)
        self.out.tell("sse_cpu_us", found["gateway"], "us")

    def streams(self):
        """10,000 streams with 20 events a second each, in bursts"""
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        count = min(STREAMS, (limit - 200) // 2)
        if count < STREAMS:
            print(f"(only {count} streams: a process may have {limit} descriptors here)")
        gateway = self.fresh("streams")
        idle, memory, live = gateway.memory(), 0, 0
        # All are open before the first one speaks.
        self.set_script(f"look=0 stream=1 chunks={STREAM_EVENTS} align_ms={STEP_MS} "
                                "first_ms=8000")
        load = subprocess.Popen(
            self.command(gateway, body=STREAM, stream=True, c=count, requests=count, ramp_ms=6000,
                         events=STREAM_EVENTS, align_ms=STEP_MS),
            stdout=subprocess.PIPE, text=True)
        while load.poll() is None:
            live = max(live, self.engine.totals()["in_progress"])
            memory = max(memory, gateway.memory() - idle)
            time.sleep(0.2)
        result = json.loads(load.communicate()[0])
        print(f"({live} streams at once; {result['events'] / result['ns'] * 1e9:.0f} events a "
              f"second, {result['cpu_ns'] / result['events'] / 1000:.2f} us CPU each; errors "
              f"{result['errors']})")
        self.out.add("streams_10000_lost", count - result["ok"], "streams", "==", 0)
        self.out.add("streams_rss_kib", memory / count / 1024, "KiB", "<=", 8)

    def prompt(self):
        """bodies of 220 KB and 1 MB: CPU per request"""
        for name, size in (("220k", 220_000), ("1m", 1_000_000)):
            found = self.compare_cpu([self.gateway, self.nginx], "ok", CHAT_SCRIPT, pad=size, c=8)
            self.out.add(f"prompt_{name}_vs_nginx", found["gateway"] / found["nginx"], "x", "<=",
                         1.15)

    def effect(self):
        """what bodies of 1 MB do to the latency of small requests"""
        self.set_script(CHAT_SCRIPT)
        seen = {False: [], True: []}
        for number in range(ROUNDS):
            for has_others in (False, True) if number % 2 == 0 else (True, False):
                others = has_others and subprocess.Popen(
                    self.command(self.gateway, pad=1_000_000, c=4, rate=20, seconds=600),
                    stdout=subprocess.DEVNULL)
                try:
                    result = self.load(self.gateway, c=16, rate=500)
                finally:
                    if others:
                        others.kill()
                        others.wait()
                seen[has_others].append(result["latency"]["p99"])
        alone, beside = (median(seen[key]) for key in (False, True))
        print(f"(500 requests a second: p99 {alone:.0f} us alone, {beside:.0f} us beside 20 bodies "
              "of 1 MB a second)")
        self.out.add("prompt_1m_p99_effect_us", beside - alone, "us", "<=", 200)

    def burst(self):
        """1,500 bodies of 150 KB at once: memory afterwards"""
        gateway = self.fresh("burst")
        self.set_script(CHAT_SCRIPT)
        self.load(gateway, c=64, seconds=1)
        idle = gateway.memory()
        self.set_script(f"{CHAT_SCRIPT} head_ms=5000")
        load = subprocess.Popen(self.command(gateway, pad=150_000, c=1500, requests=1500),
                                stdout=subprocess.PIPE, text=True)
        peak = 0
        while load.poll() is None:
            peak = max(peak, gateway.memory())
            time.sleep(0.05)
        result = json.loads(load.communicate()[0])
        time.sleep(30)  # what the figure is about
        after = gateway.memory()
        print(f"({result['ok']} of 1500 answered; memory {idle / MIB:.1f} MiB idle, "
              f"{peak / MIB:.1f} at its peak, {after / MIB:.1f} 30 s later)")
        assert result["ok"] == 1500, result["errors"]
        self.out.add("memory_after_burst_mib", (after - idle) / MIB, "MiB", "<=", 8)

    def idle(self):
        """an engine that closes idle connections at random"""
        self.set_script(f"{CHAT_SCRIPT} idle_ms=2 idle_permille=100")
        before = self.engine.totals()["connections"]
        done = subprocess.run(self.command(self.gateway, c=64, requests=REQUESTS),
                              stdout=subprocess.PIPE, text=True)
        result = json.loads(done.stdout)
        made = self.engine.totals()["connections"] - before
        print(f"({result['requests']} requests over {made} connections to the engine; errors "
              f"{result['errors']})")
        self.out.add("idle_closer_errors", REQUESTS - result["ok"], "errors", "==", 0)

    # --- where the time goes ---

    def profile(self):
        """by name only: symbols by perf and system calls by strace at c=64"""
        binary = report.TOP / "build/release/src/app/gpustack"  # with symbols
        gateway = self.fresh("profiled", binary=binary)
        self.set_script(CHAT_SCRIPT)
        data = self.folder / "perf.data"
        load = subprocess.Popen(self.command(gateway, c=64, seconds=12),
                                stdout=subprocess.DEVNULL)
        subprocess.run(["perf", "record", "-q", "-g", "-F", "1999", "-o", data, "-p",
                        str(gateway.scripted.pid), "--", "sleep", "8"], check=True)
        load.wait()
        for title, options in (("by library", ["--sort", "dso"]), ("by symbol", [])):
            text = subprocess.run(["perf", "report", "-i", data, "--stdio", "--no-children", "-g",
                                   "none", "--percent-limit", "0.6", *options],
                                  capture_output=True, text=True).stdout
            lines = [line for line in text.splitlines() if line and line[0] != "#"]
            print(f"--- {title}", *lines, sep="\n")
        self.count_calls(gateway)

    def count_calls(self, gateway):
        requests = 20000
        calls = self.folder / "strace"
        strace = subprocess.Popen(["strace", "-c", "-f", "-q", "-o", calls, "-p",
                                   str(gateway.scripted.pid)])
        time.sleep(1)
        self.load(gateway, c=64, requests=requests, warmup=0)
        strace.terminate()
        strace.wait()
        print("--- system calls a request, at c=64")
        for line in calls.read_text().splitlines():
            fields = line.split()
            if len(fields) >= 5 and fields[3].isdigit() and int(fields[3]) > requests / 100 and (
                    fields[-1] != "total"):
                print(f"{int(fields[3]) / requests:8.2f} {fields[-1]}")


CELLS = ["chat", "governance", "latency", "sse", "streams", "prompt", "effect", "burst", "idle"]


def raise_descriptor_limit():
    """As far as this user may: each stream needs two descriptors of the gateway."""
    for most in (DESCRIPTORS, resource.getrlimit(resource.RLIMIT_NOFILE)[1]):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
            return
        except ValueError:
            pass  # not allowed


def usage():
    print(__doc__, "\nCells:", sep="")
    for name in [*CELLS, "profile"]:
        print(f"  {name:12} {getattr(Bench, name).__doc__}")


def main(cells):
    if set(cells) - {*CELLS, "profile"}:
        usage()
        return 2
    subprocess.run([report.TOP / "tools/install-packages", "--no-services", "nginx-light",
                    "haproxy", "util-linux"], check=True)
    raise_descriptor_limit()
    out = report.Report()
    with report.alone(), tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # nginx's worker is another user when this is root
        bench = Bench(folder, out)
        try:
            bench.start()
            for name in cells or CELLS:
                print(f"({name}: {getattr(Bench, name).__doc__}; load "
                      f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)", flush=True)
                getattr(bench, name)()
        finally:
            bench.close()
    return out.status()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
