# SPDX-License-Identifier: Apache-2.0
"""Folders of published models, by their public config.json: all tensors with their shapes, and
holes in the files where the weights would be. A folder of 640 GB takes some MB of disk.

    write("qwen3-8b", folder)        # returns the bytes of its tensors
"""

import json
import math
import struct

SHARD_BYTES = 64 << 30

QWEN3 = {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "torch_dtype": "bfloat16",
         "head_dim": 128, "vocab_size": 151936, "max_position_embeddings": 40960,
         "rms_norm_eps": 1e-06, "hidden_act": "silu"}

CONFIGS = {
    "qwen3-0.6b": {**QWEN3, "hidden_size": 1024, "num_hidden_layers": 28, "num_attention_heads": 16,
                   "num_key_value_heads": 8, "intermediate_size": 3072,
                   "tie_word_embeddings": True},
    "qwen3-8b": {**QWEN3, "hidden_size": 4096, "num_hidden_layers": 36, "num_attention_heads": 32,
                 "num_key_value_heads": 8, "intermediate_size": 12288,
                 "tie_word_embeddings": False},
    "qwen3-32b": {**QWEN3, "hidden_size": 5120, "num_hidden_layers": 64, "num_attention_heads": 64,
                  "num_key_value_heads": 8, "intermediate_size": 25600,
                  "tie_word_embeddings": False},
    "qwen3-235b-a22b": {**QWEN3, "architectures": ["Qwen3MoeForCausalLM"],
                        "model_type": "qwen3_moe", "hidden_size": 4096, "num_hidden_layers": 94,
                        "num_attention_heads": 64, "num_key_value_heads": 4,
                        "intermediate_size": 12288, "moe_intermediate_size": 1536,
                        "num_experts": 128, "num_experts_per_tok": 8, "decoder_sparse_step": 1,
                        "mlp_only_layers": [], "norm_topk_prob": True,
                        "tie_word_embeddings": False},
    "deepseek-r1-w8a8": {"architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3",
                         "torch_dtype": "bfloat16", "quantize": "w8a8_dynamic",
                         "hidden_size": 7168, "num_hidden_layers": 61, "num_attention_heads": 128,
                         "num_key_value_heads": 128, "q_lora_rank": 1536, "kv_lora_rank": 512,
                         "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
                         "intermediate_size": 18432, "moe_intermediate_size": 2048,
                         "n_routed_experts": 256, "n_shared_experts": 1, "num_experts_per_tok": 8,
                         "n_group": 8, "topk_group": 4, "first_k_dense_replace": 3,
                         "moe_layer_freq": 1, "num_nextn_predict_layers": 1,
                         "vocab_size": 129280, "max_position_embeddings": 163840,
                         "tie_word_embeddings": False},
}


def _mlp(name, hidden, inner):
    yield f"{name}.gate_proj.weight", [inner, hidden]
    yield f"{name}.up_proj.weight", [inner, hidden]
    yield f"{name}.down_proj.weight", [hidden, inner]


def _qwen3_layer(config, name):
    hidden, head = config["hidden_size"], config["head_dim"]
    q, kv = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    yield name + "self_attn.q_proj.weight", [q, hidden]
    yield name + "self_attn.k_proj.weight", [kv, hidden]
    yield name + "self_attn.v_proj.weight", [kv, hidden]
    yield name + "self_attn.o_proj.weight", [hidden, q]
    yield name + "self_attn.q_norm.weight", [head]
    yield name + "self_attn.k_norm.weight", [head]
    if "num_experts" not in config:
        yield from _mlp(name + "mlp", hidden, config["intermediate_size"])
        return
    yield name + "mlp.gate.weight", [config["num_experts"], hidden]
    for expert in range(config["num_experts"]):
        yield from _mlp(f"{name}mlp.experts.{expert}", hidden, config["moe_intermediate_size"])


def _deepseek_layer(config, name, layer):
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    nope, rope = config["qk_nope_head_dim"], config["qk_rope_head_dim"]
    q, kv, value = config["q_lora_rank"], config["kv_lora_rank"], config["v_head_dim"]
    yield name + "self_attn.q_a_proj.weight", [q, hidden]
    yield name + "self_attn.q_a_layernorm.weight", [q]
    yield name + "self_attn.q_b_proj.weight", [heads * (nope + rope), q]
    yield name + "self_attn.kv_a_proj_with_mqa.weight", [kv + rope, hidden]
    yield name + "self_attn.kv_a_layernorm.weight", [kv]
    yield name + "self_attn.kv_b_proj.weight", [heads * (nope + value), kv]
    yield name + "self_attn.o_proj.weight", [hidden, heads * value]
    if layer < config["first_k_dense_replace"]:
        yield from _mlp(name + "mlp", hidden, config["intermediate_size"])
        return
    yield name + "mlp.gate.weight", [config["n_routed_experts"], hidden]
    yield name + "mlp.gate.e_score_correction_bias", [config["n_routed_experts"]]
    yield from _mlp(name + "mlp.shared_experts", hidden, config["moe_intermediate_size"])
    for expert in range(config["n_routed_experts"]):
        yield from _mlp(f"{name}mlp.experts.{expert}", hidden, config["moe_intermediate_size"])


def _tensors(config):
    hidden, vocabulary = config["hidden_size"], config["vocab_size"]
    layers = config["num_hidden_layers"]
    yield "model.embed_tokens.weight", [vocabulary, hidden]
    for layer in range(layers + config.get("num_nextn_predict_layers", 0)):
        name = f"model.layers.{layer}."
        if config["model_type"] == "deepseek_v3":
            yield from _deepseek_layer(config, name, layer)
        else:
            yield from _qwen3_layer(config, name)
        yield name + "input_layernorm.weight", [hidden]
        yield name + "post_attention_layernorm.weight", [hidden]
        if layer >= layers:
            yield name + "eh_proj.weight", [hidden, 2 * hidden]
            yield name + "enorm.weight", [hidden]
            yield name + "hnorm.weight", [hidden]
    yield "model.norm.weight", [hidden]
    if not config["tie_word_embeddings"]:
        yield "lm_head.weight", [vocabulary, hidden]


def _is_int8(config, name):
    return "quantize" in config and "_proj" in name and name.endswith(".weight")


def _stored(config):
    """(name, type, shape, bytes) of what is in the files: int8 weights have scales beside them."""
    for name, shape in _tensors(config):
        is_int8 = _is_int8(config, name)
        yield name, "I8" if is_int8 else "BF16", shape, math.prod(shape) * (1 if is_int8 else 2)
        if is_int8:
            yield name + "_scale", "F32", [shape[0], 1], 4 * shape[0]
            yield name + "_offset", "F32", [shape[0], 1], 4 * shape[0]


def _shards(config):
    shard, size = [], 0
    for tensor in _stored(config):
        if shard and size + tensor[3] > SHARD_BYTES:
            yield shard
            shard, size = [], 0
        shard.append(tensor)
        size += tensor[3]
    yield shard


def _write_shard(path, tensors):
    header, offset = {}, 0
    for name, dtype, shape, size in tensors:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + offset)
    return offset


def write(name, folder):
    config = CONFIGS[name]
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    shards = list(_shards(config))
    names = [f"model-{i + 1:05}-of-{len(shards):05}.safetensors" for i in range(len(shards))]
    total = sum(_write_shard(folder / file, shard) for file, shard in zip(names, shards))
    index = {"metadata": {"total_size": total},
             "weight_map": {tensor[0]: file for file, shard in zip(names, shards)
                            for tensor in shard}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return total
