# SPDX-License-Identifier: Apache-2.0
"""What the tests with official clients share: models of each kind, and a ledger of what the clients
were told, against which the usage records that control has are held.

    offer(cluster, make_model)                 # "hello", "caller", "endless", "vectors", "ranker"
    ledger = Ledger(cluster)
    ledger.expect(request_id, "chat", usage=openai_usage(answer.usage))
    ledger.check()                             # at the end: a record takes a second to get there
"""

import pathlib

from harness import Http, engine_token, wait_for

DATA = pathlib.Path(__file__).resolve().parents[1] / "data"
QUESTION = [{"role": "user", "content": "Who are you?"}]
SENTENCE = ("I am the gpustack demo model: one layer, no knowledge, "
            "but a real engine answers you.")
# All that the model "caller" ever says; its engine takes it for a call when there are tools.
CALL = '<tool_call>\n{"name": "add", "arguments": {"a": 1, "b": 2}}\n</tool_call>'
ADD = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
       "required": ["a", "b"]}
SUM = {"a": 1, "b": 2}
# One pixel.
PNG = ("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
       "rkJggg==")


def offer(cluster, make_model, *names):
    """Deploys the named models, all when none is named, and waits until they run."""
    hello = make_model("hello", SENTENCE)
    models = {
        "hello": (hello, {}),
        "caller": (make_model("caller", CALL), {"backend_parameters": [
            f"--chat-template-file={DATA / 'templates/tools.jinja'}"]}),
        "endless": (make_model("endless", "round and back again to the start", "--endless"), {}),
        "vectors": (hello, {"categories": ["embedding"],
                            "backend_parameters": ["--pooling=mean"]}),
        "ranker": (hello, {"categories": ["reranker"]}),
    }
    for name in names or models:
        path, fields = models[name]
        cluster.deploy(name, path, wait=False, **fields)
    for name in names or models:
        cluster.wait_running(name)


def wait_engine_free(cluster, model):
    """Until the model's engine works on nothing: its slots are idle. It looks whether a client that
    waits for a whole answer is still there only after a second without a question about slots."""
    instance = cluster.instances(model)[0]
    engine = Http("127.0.0.1", instance["port"], engine_token(instance["pid"]))
    wait_for(lambda: not any(slot["is_processing"]
                             for slot in engine.get("/slots").expect(200)),
             20, f"the engine of {model} is free", pause=1.5)


# --- what clients were told ----------------------------------------------------------------------


def openai_usage(usage):
    details = getattr(usage, "prompt_tokens_details", None)
    return {"prompt_tokens": usage.prompt_tokens,
            "cached_tokens": (details and details.cached_tokens) or 0,
            "completion_tokens": getattr(usage, "completion_tokens", 0)}


def responses_usage(usage):
    return {"prompt_tokens": usage.input_tokens,
            "cached_tokens": usage.input_tokens_details.cached_tokens,
            "completion_tokens": usage.output_tokens}


def anthropic_usage(usage):
    """Of Anthropic's API: what came out of a cache isn't part of the input there."""
    cached = usage.cache_read_input_tokens or 0
    return {"prompt_tokens": usage.input_tokens + cached, "cached_tokens": cached,
            "completion_tokens": usage.output_tokens}


class Ledger:
    """Requests that were made, and the members of their usage records that are known."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.expected = {}

    def expect(self, request_id, operation, model="hello", usage=None, **members):
        assert request_id and request_id not in self.expected
        self.expected[request_id] = {
            "operation": operation, "model": model, "route": model, "outcome": "ok",
            "status": 200, "is_estimated": False, **(usage or {}), **members}

    def refused(self, request_id, operation, model, outcome, status, **members):
        """A request that no engine worked on."""
        self.expect(request_id, operation, model, outcome=outcome, status=status, prompt_tokens=0,
                    completion_tokens=0, **members)

    def record(self, request_id):
        """The one record of a request, waited for."""
        def found():
            return self.cluster.admin.get(
                f"/v2/usage/records?request_id={request_id}").expect(200)["items"]
        records = wait_for(found, 10, f"the record of {request_id}", pause=0.1)
        assert len(records) == 1, records
        return records[0]

    def check(self):
        """Fails with all that differs."""
        wrong = []
        for request_id, members in self.expected.items():
            record = self.record(request_id)
            differing = {name: (value, record[name]) for name, value in members.items()
                         if record[name] != value}
            if differing:
                wrong.append(f"{request_id} ({members['operation']}, {members['model']}), "
                             f"expected and seen: {differing}")
        assert not wrong, "\n".join(wrong)
