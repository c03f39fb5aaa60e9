# SPDX-License-Identifier: Apache-2.0
"""What the gateway is compared with: nginx and HAProxy of the distribution as bare reverse proxies,
made as fast as their settings allow, one thread each."""

import os
import pathlib
import signal
import subprocess

import report  # it makes harness known
import harness

NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log error;
events {{ worker_connections 8000; }}
http {{
    access_log off;
    keepalive_timeout 3600s;
    keepalive_requests 1000000000;
    client_max_body_size 64m;
    client_body_buffer_size 2m;     # bodies stay in memory
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream engine {{
        server 127.0.0.1:{engine};
        keepalive 4096;
        keepalive_requests 1000000000;
        keepalive_timeout 3600s;
    }}
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_read_timeout 3600s;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{ proxy_pass http://engine; }}
    }}
    server {{
        listen 127.0.0.1:{stream_port} backlog=4096;
        proxy_buffering off;        # events leave as they come
        location / {{ proxy_pass http://engine; }}
    }}
}}
"""

HAPROXY = """
global
    nbthread 1
    maxconn 4000
defaults
    mode http
    timeout connect 5s
    timeout client 3600s
    timeout server 3600s
    timeout http-keep-alive 3600s
    http-reuse always
frontend all
    bind 127.0.0.1:{port}
    default_backend engine
backend engine
    server one 127.0.0.1:{engine}
"""


class Proxy:
    """One process tree on a core; `port` takes requests, `stream_port` those that are streamed."""

    def __init__(self, name, command, core):
        self.name = name
        self.process = subprocess.Popen(["taskset", "-c", str(core), *command],
                                        stdin=subprocess.DEVNULL, start_new_session=True)

    def wait(self):
        def answers():
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with status {self.process.returncode}")
            return harness.Http("127.0.0.1", self.port).get("/health").status == 200
        harness.wait_for(answers, 10, f"{self.name} serves")

    def pids(self):
        """It and its children."""
        own = self.process.pid
        return [pid for pid in harness.all_pids() if pid == own or harness.parent(pid) == own]

    def stop(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Nginx(Proxy):
    def __init__(self, folder, engine_port, core):
        self.port = harness.free_ports(2)
        self.stream_port = self.port + 1
        conf = pathlib.Path(folder) / "nginx.conf"
        conf.write_text(NGINX.format(folder=folder, engine=engine_port, port=self.port,
                                     stream_port=self.stream_port))
        super().__init__("nginx", ["nginx", "-c", str(conf), "-e", f"{folder}/nginx.log"], core)
        self.wait()


CONTROL_FRONT = """
daemon off;
worker_processes 1;
pid {folder}/front.pid;
error_log {folder}/front.log error;
events {{ worker_connections 8000; }}
http {{
    access_log off;
    keepalive_timeout 3600s;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_read_timeout 3600s;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = /v2/bench {{ default_type application/json; return 200 '{answer}'; }}
        location / {{ proxy_buffering off; proxy_pass {control}; }}
        location = /health {{ return 200; }}
    }}
}}
"""


class ControlFront(Proxy):
    """A control that answers /v2/bench as an engine would: the gateway passes what is asked there
    on as it is, without a key, limits or a record."""

    def __init__(self, folder, control_url, core):
        self.port = harness.free_ports(4) + 3  # the gateway doesn't listen on the first one yet
        conf = pathlib.Path(folder) / "front.conf"
        conf.write_text(CONTROL_FRONT.format(folder=folder, port=self.port, control=control_url,
                                             answer='{"answer":"' + "x" * 840 + '"}'))
        super().__init__("front", ["nginx", "-c", str(conf), "-e", f"{folder}/front.log"], core)
        self.wait()


class Haproxy(Proxy):
    def __init__(self, folder, engine_port, core):
        self.port = self.stream_port = harness.free_ports()
        conf = pathlib.Path(folder) / "haproxy.cfg"
        conf.write_text(HAPROXY.format(engine=engine_port, port=self.port))
        super().__init__("haproxy", ["haproxy", "-q", "-db", "-f", str(conf)], core)
        self.wait()
