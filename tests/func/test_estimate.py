# SPDX-License-Identifier: Apache-2.0
"""`gpustack estimate` against what the real llama-server says that it allocates.

Keys, values and states must be met to the digits that are printed, weights and compute buffers to
1 %: of one process, of partial offload, and of a model over two devices (lent by RPC servers).
"""

import json
import subprocess

import pytest

import gguf_models
import hf_models
from llama_server import LlamaServer

PRINTED = 0.0051  # MiB: the log has two digits
SMALL = 0.03      # MiB that tensors of some bytes a token may add up to


@pytest.fixture(scope="module")
def engine(engine_dir):
    return LlamaServer(engine_dir)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    return {name: gguf_models.write_model(folder / f"{name}.gguf", shape)
            for name, shape in gguf_models.SHAPES.items()}


@pytest.fixture(scope="module")
def estimate(gpustack_binary, engine):
    """Function (model, args, devices=0, draft=None) -> the estimate's JSON."""

    def run(model, *args, devices=0, draft=None):
        more = ["--draft", draft] if draft else []
        command = [gpustack_binary, "estimate", model, "--version", engine.version, "--json",
                   "--devices", str(devices), "--remote", *more, "--", *args]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def places(estimated):
    """As LlamaServer.sizes() has them, in MiB."""
    out = {str(i): {} for i in range(len(estimated["devices"]))} | {"host": {}}
    for line in estimated["lines"]:
        part = line["part"]
        if "outputs:" in line["formula"]:
            part = "outputs"
        place = out["host" if line["device"] is None else str(line["device"])]
        place[part] = place.get(part, 0) + line["bytes"] / (1 << 20)
    return out


def assert_same(estimated, logged):
    mine = places(estimated)
    for place, parts in logged.items():
        for part in ("cache", "state", "outputs"):
            assert mine[place].get(part, 0) == pytest.approx(
                parts.get(part, 0), abs=2 * PRINTED), (place, part)
        assert mine[place].get("weights", 0) == pytest.approx(
            parts.get("weights", 0), rel=0.01, abs=SMALL), (place, "weights")
        assert mine[place]["compute"] == pytest.approx(
            parts["compute"], rel=0.01, abs=SMALL), (place, "compute")


ARGUMENTS = [
    ["-c", "1024"],
    ["-c", "4096"],
    ["-c", "20000", "-np", "1"],
    ["-c", "8192", "-np", "3"],
    ["-c", "4096", "-fa", "off", "-np", "1"],
    ["-c", "4096", "-b", "256", "-ub", "128", "-np", "2", "-kvu"],
]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=" ".join)
@pytest.mark.parametrize("name", gguf_models.SHAPES)
def test_one_process(engine, models, estimate, name, arguments):
    assert_same(estimate(models[name], *arguments), engine.sizes(models[name], *arguments))


@pytest.mark.parametrize("keys, values", [("q8_0", "q8_0"), ("q4_0", "f16"), ("bf16", "q5_1"),
                                          ("f32", "f32"), ("q4_1", "iq4_nl")])
@pytest.mark.parametrize("name", ["gqa", "window"])
def test_types_of_caches(engine, models, estimate, name, keys, values):
    arguments = ["-c", "4096", "-ctk", keys, "-ctv", values]
    mine = places(estimate(models[name], *arguments))
    logged = engine.sizes(models[name], *arguments)
    assert mine["host"]["cache"] == pytest.approx(logged["host"]["cache"], abs=2 * PRINTED)


def test_all_of_a_window(engine, models, estimate):
    arguments = ["-c", "4096", "--swa-full"]
    assert_same(estimate(models["window"], *arguments), engine.sizes(models["window"], *arguments))


def test_embedding(engine, models, estimate):
    """All tokens of a batch are outputs then."""
    arguments = ["-c", "4096", "-b", "2048", "-ub", "2048", "--embedding", "--pooling", "mean"]
    assert_same(estimate(models["gqa"], *arguments), engine.sizes(models["gqa"], *arguments))


@pytest.mark.parametrize("arguments", [
    [], ["-ub", "2048"], ["-fa", "off"], ["-np", "1", "-ub", "2048", "-fa", "off"], ["-b", "256"],
], ids=" ".join)
def test_encoder(engine, models, estimate, arguments):
    arguments = ["-c", "2048", "--embedding", *arguments]
    assert_same(estimate(models["encoder"], *arguments),
                engine.sizes(models["encoder"], *arguments))


def test_encoder_on_a_device(engine, models, estimate):
    arguments = ["-c", "512", "--embedding", "-ngl", "99"]
    with engine.lend_devices(1) as rpc:
        logged = engine.sizes(models["encoder"], *arguments, "--rpc", rpc)
    assert_same(estimate(models["encoder"], *arguments, devices=1), logged)


@pytest.mark.parametrize("own", [[], ["-ngld", "2", "-ctkd", "q8_0", "-ctvd", "q8_0"]],
                         ids=" ".join)
def test_draft(engine, models, estimate, own):
    """What a draft model doesn't share: layers on the device and types of its cache."""
    arguments = ["-c", "4096", "-np", "2", "-ngl", "3", "-ctk", "q8_0", *own]
    with engine.lend_devices(1) as rpc:
        logged = engine.sizes(models["gqa"], *arguments, "--rpc", rpc, "-md", models["mha"],
                              "--spec-type", "draft-simple")
    assert_same(estimate(models["gqa"], *arguments, devices=1, draft=models["mha"]), logged)


@pytest.mark.parametrize("layers", ["all", "3", "1", "0"])
@pytest.mark.parametrize("name", ["gqa", "moe", "mla", "state", "tied", "wide",
                                  "large-vocabulary"])
def test_layers_on_a_device(engine, models, estimate, name, layers):
    arguments = ["-c", "4096", "-ngl", layers]
    with engine.lend_devices(1) as rpc:
        logged = engine.sizes(models[name], *arguments, "--rpc", rpc)
    assert_same(estimate(models[name], *arguments, devices=1), logged)


@pytest.mark.parametrize("name", ["gqa", "moe", "mixtral", "mla-direct", "mla-groups", "state",
                                  "hybrid", "window", "wide"])
def test_two_devices(engine, models, estimate, name):
    """With four copies of the inputs, as devices work on several batches at once."""
    arguments = ["-c", "4096", "-ngl", "99", "-ts", "3,5"]
    with engine.lend_devices(2) as rpc:
        logged = engine.sizes(models[name], *arguments, "--rpc", rpc)
    assert_same(estimate(models[name], *arguments, devices=2), logged)


def test_chosen_device(engine, models, estimate):
    arguments = ["-c", "4096", "-ngl", "99", "-dev", "RPC1"]
    with engine.lend_devices(2) as rpc:
        logged = engine.sizes(models["gqa"], "--rpc", rpc, *arguments)
    assert_same(estimate(models["gqa"], *arguments, devices=2), {"1": logged["0"]})


@pytest.mark.parametrize("where", [
    ["-ngl", "99", "--cpu-moe"], ["-ngl", "99", "--n-cpu-moe", "2"], ["-ngl", "2", "--cpu-moe"],
    ["-ngl", "99", "-ot", "exps=CPU"], ["-ngl", "2", "-ot", "exps=RPC0"],
    ["-ngl", "0", "-ot", "exps=RPC0"],
], ids=" ".join)
@pytest.mark.parametrize("name", ["moe", "mixtral", "mla"])
def test_experts_elsewhere(engine, models, estimate, name, where):
    """Their buffers go with them."""
    arguments = ["-c", "4096", *where]
    with engine.lend_devices(1) as rpc:
        named = [word.replace("RPC0", f"RPC0[{rpc}]") for word in arguments]
        logged = engine.sizes(models[name], "--rpc", rpc, *named)
    assert_same(estimate(models[name], *arguments, devices=1), logged)


@pytest.mark.parametrize("overrides", [
    ["-ot", "exps=CPU"], ["-ot", r"blk\.(0|2)\.ffn_(up|gate)_exps=CPU", "-ot", "output.weight=CPU"],
    ["-ot", r"blk\.[13]\.attn_[qkv]\.=CPU,blk\.2\.=CPU"], ["-ngl", "2", "-ot", "exps=RPC0"],
], ids=" ".join)
def test_tensors_by_name(engine, models, estimate, overrides):
    arguments = ["-c", "4096", "-ngl", "99"]
    with engine.lend_devices(1) as rpc:
        named = [word.replace("RPC0", f"RPC0[{rpc}]") for word in overrides]
        logged = engine.sizes(models["moe"], "--rpc", rpc, *arguments, *named)
    mine = places(estimate(models["moe"], *arguments, *overrides, devices=1))
    assert mine["0"]["weights"] == pytest.approx(logged["0"]["weights"], rel=0.01, abs=SMALL)


# --- the command ---------------------------------------------------------------------------------


def run(binary, *args):
    return subprocess.run([binary, "estimate", *args], capture_output=True, text=True, check=False)


def test_explained(gpustack_binary, models):
    done = run(gpustack_binary, models["gqa"], "--device-memory", "24GiB", "--explain", "--",
               "-c", "4096")
    assert done.returncode == 0, done.stderr
    assert "keys and values: 6 layers x (K 128 f16 + V 128 f16) x 4096 cells" in done.stdout
    assert "engine llama.cpp, context 4096" in done.stdout


def test_vllm(gpustack_binary, tmp_path):
    """Llama-3.1-8B on 24 GB: all weights, the rest of 0.9 is a cache, which 131072 don't fit in."""
    weights = hf_models.write_llama(tmp_path / "llama")
    done = run(gpustack_binary, tmp_path / "llama", "--device-memory", "22.07GiB", "--version",
               "0.10.0", "--json")
    assert done.returncode == 0, done.stderr
    estimated = json.loads(done.stdout)
    device, = estimated["devices"]
    assert estimated["engine"] == "vllm" and not estimated["fits"]
    assert device["weights"] == pytest.approx(weights, rel=1e-6)
    assert weights / (1 << 30) == pytest.approx(14.96, abs=0.01)
    assert estimated["cache_tokens"] == pytest.approx(37696, rel=0.3)
    assert 8192 < estimated["context_fits"] < 37696
    assert "no room for --max-model-len 131072" in estimated["advice"]


def test_what_does_not_fit(gpustack_binary, models):
    done = run(gpustack_binary, models["mha"], "--device-memory", "600M", "--", "-c", "262144",
               "-np", "1")
    assert done.returncode == 0
    assert "does not fit: device 0 has 600.0 MiB" in done.stdout
    assert "; --ctx-size " in done.stdout and "would fit" in done.stdout


def test_faults(gpustack_binary, models, tmp_path):
    done = run(gpustack_binary, models["gqa"], "--device-memory", "much")
    assert done.returncode == 2 and "--device-memory must be a size such as 24GiB" in done.stderr
    done = run(gpustack_binary, models["gqa"], "--", "-ctk", "q3")
    assert done.returncode == 1 and "must be one of f32, f16" in done.stderr
    done = run(gpustack_binary, models["gqa"], "--engine", "vllm", "--devices", "3")
    assert done.returncode == 1 and "3 doesn't divide 8 heads; 2 or 4 do" in done.stderr
    done = run(gpustack_binary, tmp_path / "none.gguf")
    assert done.returncode == 5 and "none.gguf" in done.stderr
