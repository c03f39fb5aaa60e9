# SPDX-License-Identifier: Apache-2.0
"""Who may do what: every operation with every kind of credential. What is expected follows from
x-access in api/openapi.yaml alone; requests are such that those who may do no harm."""

import pytest

from api_file import NO_ID, operations
from harness import STRONG, Cluster, basic_auth, wait_for

ALL = operations()
USERS = ("self", "user", "admin")


@pytest.fixture(scope="module")
def cluster(gpustack_binary, engine_dir, tmp_path_factory):
    own = Cluster(gpustack_binary, engine_dir, tmp_path_factory.mktemp("access"),
                  args=["--disable-worker"])
    try:
        own.start()
        yield own
    finally:
        own.stop()


class Credentials:
    """Role -> headers, and what the roles need on the server."""

    def __init__(self, cluster):
        self.cluster, self.admin = cluster, cluster.admin
        self.worker = cluster.http(cluster.token()).post("/v2/workers", {
            "name": "w", "worker_uuid": "w", "ip": "127.0.0.1", "port": 1}).expect(200)
        self.headers = {"nobody": {}, "nonsense": bearer("nonsense"),
                        "admin": bearer(cluster.api_key()),
                        "admin by X-API-Key": {"X-API-Key": cluster.api_key()},
                        "worker": bearer(self.worker["token"]),
                        "cluster": bearer(cluster.token())}
        self.add_users()
        self.add_keys()

    def make_user(self, name, **fields):
        return self.admin.post("/v2/users", {"username": name, "password": STRONG,
                                             **fields}).expect(200)["id"]

    def make_key(self, owner, name, **fields):
        client = self.cluster.http(basic_auth(owner, STRONG))
        return client.post("/v2/api-keys", {"name": name, **fields}).expect(200)

    def add_users(self):
        self.make_user("plain")
        self.headers["user"] = bearer(self.make_key("plain", "k")["value"])
        self.headers["user by password"] = {"Authorization": basic_auth("plain", STRONG)}
        self.headers["user by cookie"] = self.cookie("plain")
        self.make_user("boss", is_admin=True)
        self.headers["logged out"] = self.cookie("boss")
        self.cluster.http().post("/auth/logout", headers=self.headers["logged out"]).expect(200)
        self.make_user("fresh", is_admin=True, require_password_change=True)
        self.headers["fresh"] = self.cookie("fresh")
        gone = self.make_user("gone", is_admin=True)
        self.headers["of a deactivated user"] = bearer(self.make_key("gone", "k")["value"])
        self.admin.put(f"/v2/users/{gone}", {"is_active": False}).expect(200)

    def add_keys(self):
        self.headers["inference"] = bearer(
            self.make_key("boss", "inference", scope=["inference"])["value"])
        off = self.make_key("boss", "off")
        self.cluster.http(basic_auth("boss", STRONG)).put(
            f"/v2/api-keys/{off['id']}", {"enabled": False}).expect(200)
        self.headers["turned off"] = bearer(off["value"])
        self.headers["expired"] = bearer(self.make_key("boss", "old", expires_in=1)["value"])
        wait_for(lambda: self.ask("GET", "/v2/models", "expired") == 401)

    def cookie(self, name):
        reply = self.cluster.http().post("/auth/login", {"username": name, "password": STRONG})
        reply.expect(200)
        return {"Cookie": reply.headers["set-cookie"].partition(";")[0]}

    def ask(self, method, path, role, body=None):
        """Status of an answer whose body isn't waited for: it may be a stream."""
        connection, response = self.cluster.http().open(method, path, body,
                                                        headers=self.headers[role])
        connection.close()
        return response.status


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def credentials(cluster):
    return Credentials(cluster)


# Role -> the access rules that let it in, and the status for the others.
ROLES = {
    "nobody": ((), 401),
    "nonsense": ((), 401),
    "admin": (USERS, 401),
    "admin by X-API-Key": (USERS, 401),
    "user": (("self", "user"), {"admin": 403, "worker": 401, "cluster": 401}),
    "user by password": (("self", "user"), {"admin": 403, "worker": 401, "cluster": 401}),
    "user by cookie": (("self", "user"), {"admin": 403, "worker": 401, "cluster": 401}),
    "fresh": (("self",), {"user": 403, "admin": 403, "worker": 401, "cluster": 401}),
    "inference": ((), 403),
    "expired": ((), 401),
    "turned off": ((), 401),
    "of a deactivated user": ((), 401),
    "logged out": ((), 401),
    "worker": (("worker",), 401),
    "cluster": (("cluster",), 401),
}


ONE_PER_RULE = {"user by password"}  # each request hashes the password


def chosen(role):
    """The operations for a role; what ends the caller's own login comes last."""
    some = sorted(ALL, key=lambda one: one.id == "auth_logout")
    if role in ONE_PER_RULE:
        some = list({one.access: one for one in some if not one.is_stream}.values())
    return some


def is_as_expected(operation, role, status):
    let_in, refused = ROLES[role]
    if operation.access == "public" or operation.access in let_in:
        return status not in (401, 403)
    return status == (refused if isinstance(refused, int) else refused[operation.access])


@pytest.mark.parametrize("role", ROLES)
def test_the_rule_of_every_operation_holds(credentials, role):
    wrong = []
    for operation in chosen(role):
        is_own = operation.id == "workers_desired"
        path = operation.target(credentials.worker["id"] if is_own else NO_ID)
        body = {} if operation.body else None
        status = credentials.ask(operation.method.upper(), path, role, body)
        if not is_as_expected(operation, role, status):
            wrong.append(f"{operation.where()} ({operation.access}): {status}")
    assert wrong == []


def test_a_worker_hears_of_itself_only(credentials, cluster):
    other = cluster.http(cluster.token()).post("/v2/workers", {
        "name": "other", "worker_uuid": "other", "ip": "127.0.0.1", "port": 2}).expect(200)
    assert credentials.ask("GET", f"/v2/workers/{other['id']}/desired", "worker") == 403


def test_every_rule_and_role_was_met():
    assert {one.access for one in ALL} == {"public", *USERS, "worker", "cluster"}
    for rule in (*USERS, "worker", "cluster"):
        assert [role for role in ROLES if rule in ROLES[role][0]], f"nobody may: {rule}"
