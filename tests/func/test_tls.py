# SPDX-License-Identifier: Apache-2.0
"""HTTPS on the server's port: the server with its own worker, a joined one, the command line, new
certificates while it runs, files that can't be used."""

import http.client
import os
import signal
import socket
import ssl
import subprocess

import pytest

from conftest import SENTENCE
from harness import PASSWORD, Cluster, Http, wait_for


def make_certificate(folder, subject):
    """A self-signed certificate for localhost, moved into place; the key goes last."""
    fresh = [f"{folder}/chain.new", f"{folder}/key.new"]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={subject}",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                    "-out", fresh[0], "-keyout", fresh[1]], check=True, capture_output=True)
    os.chmod(fresh[1], 0o600)
    os.replace(fresh[0], f"{folder}/chain.pem")
    os.replace(fresh[1], f"{folder}/key.pem")


class Https(Http):
    def connect(self, timeout):
        context = ssl.create_default_context(cafile=self.ca_file)
        return http.client.HTTPSConnection("localhost", self.port, timeout=timeout,
                                           context=context)


class TlsCluster(Cluster):
    """Its certificate is for the name localhost."""

    def __init__(self, binary, engine_dir, folder):
        self.chain, self.key = f"{folder}/chain.pem", f"{folder}/key.pem"
        super().__init__(binary, engine_dir, folder,
                         ["--ssl-certfile", self.chain, "--ssl-keyfile", self.key])
        self.url = f"https://localhost:{self.port}"

    def http(self, auth=None, timeout=30):
        client = Https("127.0.0.1", self.port, auth, timeout)
        client.ca_file = self.chain
        return client

    def is_ready(self):
        if self.process.poll() is not None:
            raise RuntimeError(self.log_tail())
        return self.http(timeout=2).get("/readyz").status == 200

    def subject(self):
        """Of the certificate that a new connection gets."""
        context = ssl.create_default_context(cafile=self.chain)
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as secure:
                return dict(pair[0] for pair in secure.getpeercert()["subject"])["commonName"]


@pytest.fixture(scope="module")
def site(gpustack_binary, engine_dir, tmp_path_factory, demo_model):
    folder = tmp_path_factory.mktemp("tls")
    make_certificate(folder, "first")
    cluster = TlsCluster(gpustack_binary, engine_dir, folder)
    try:
        cluster.start()
        cluster.deploy("hello", demo_model)
        yield cluster
    finally:
        cluster.stop()


def chat(client):
    body = {"model": "hello", "messages": [{"role": "user", "content": "hi"}]}
    return client.post("/v1/chat/completions", body).expect(200)["choices"][0]["message"]["content"]


def test_inference_over_https(site):
    assert chat(site.user()).strip() == SENTENCE


def test_login_cookie_stays_on_https(site):
    reply = site.http().post("/auth/login", {"username": "admin", "password": PASSWORD})
    reply.expect(200)
    assert "; Secure" in reply.headers["set-cookie"]


def test_in_the_clear_is_told(site):
    reply = Http("127.0.0.1", site.port).get("/v1/models")
    assert reply.status == 400
    assert "https://" in reply.text


def test_command_line(site, tmp_path):
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}

    def run(*words):
        return subprocess.run([site.binary, *words], env=environment, capture_output=True,
                              text=True, timeout=30)

    assert run("login", "--local", "--data-dir", str(site.data_dir)).returncode == 0
    here = run("models")
    assert here.returncode == 0 and "hello" in here.stdout
    environment["GPUSTACK_API_KEY"] = site.api_key()
    refused = run("models", "--server-url", site.url)
    assert refused.returncode != 0 and "certificate refused" in refused.stderr
    trusted = run("models", "--server-url", site.url, "--ssl-ca-file", site.chain)
    assert trusted.returncode == 0 and "hello" in trusted.stdout
    missing = run("models", "--server-url", site.url, "--ssl-ca-file", "/nowhere.pem")
    assert "/nowhere.pem" in missing.stderr


def test_worker_joins_by_https(site):
    site.add_worker("joined", ["--ssl-ca-file", site.chain])


def test_new_certificates_while_it_runs(site):
    before = site.subject()
    kept = site.user().connect(30)
    kept.request("GET", "/healthz")
    assert kept.getresponse().read()
    make_certificate(site.folder, "second")
    wait_for(lambda: site.subject() == "second", 20, "the new certificate is served")
    assert before == "first"
    kept.request("GET", "/healthz")     # on the same connection
    assert kept.getresponse().status == 200
    kept.close()

    good = open(site.chain).read()
    with open(site.chain, "w") as file:
        file.write("no certificate\n")
    os.kill(site.pid("gateway"), signal.SIGHUP)
    wait_for(lambda: "the certificate was not replaced" in site.log(), 20, "a line of the log")
    with open(site.chain, "w") as file:
        file.write(good)
    assert site.subject() == "second"
    assert site.log().count("the certificate was not replaced") == 1


@pytest.mark.parametrize("content, words", [
    (None, "No such file"), ("nothing\n", "has no certificate in PEM form")])
def test_faulty_files_end_the_start(site, tmp_path, content, words):
    chain = tmp_path / "chain.pem"
    if content:
        chain.write_text(content)
    done = subprocess.run(
        [site.binary, "start", "--data-dir", str(tmp_path / "data"), "--disable-worker",
         "--port", "1", "--ssl-certfile", str(chain), "--ssl-keyfile", site.key],
        capture_output=True, text=True, timeout=30)
    assert done.returncode == 78
    assert str(chain) in done.stderr and words in done.stderr
