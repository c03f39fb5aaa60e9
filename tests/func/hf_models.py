# SPDX-License-Identifier: Apache-2.0
"""Folders with config.json and safetensors of a Llama; the weights are a hole in the file."""

import json
import math
import struct


def _tensors(layers, heads, heads_kv, head, hidden, feed_forward, vocabulary):
    yield "model.embed_tokens.weight", [vocabulary, hidden]
    for layer in range(layers):
        name = f"model.layers.{layer}."
        yield name + "self_attn.q_proj.weight", [heads * head, hidden]
        yield name + "self_attn.k_proj.weight", [heads_kv * head, hidden]
        yield name + "self_attn.v_proj.weight", [heads_kv * head, hidden]
        yield name + "self_attn.o_proj.weight", [hidden, heads * head]
        yield name + "mlp.gate_proj.weight", [feed_forward, hidden]
        yield name + "mlp.up_proj.weight", [feed_forward, hidden]
        yield name + "mlp.down_proj.weight", [hidden, feed_forward]
        yield name + "input_layernorm.weight", [hidden]
        yield name + "post_attention_layernorm.weight", [hidden]
    yield "model.norm.weight", [hidden]
    yield "lm_head.weight", [vocabulary, hidden]


def write_llama(folder, layers=32, heads=32, heads_kv=8, head=128, hidden=4096,
                feed_forward=14336, vocabulary=128256, context=131072):
    """Writes it and returns the bytes of its tensors; the defaults are Llama-3.1-8B."""
    folder.mkdir()
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama",
              "torch_dtype": "bfloat16", "hidden_size": hidden, "num_hidden_layers": layers,
              "num_attention_heads": heads, "num_key_value_heads": heads_kv, "head_dim": head,
              "intermediate_size": feed_forward, "vocab_size": vocabulary,
              "max_position_embeddings": context, "tie_word_embeddings": False}
    (folder / "config.json").write_text(json.dumps(config))
    header, offset = {}, 0
    shapes = _tensors(layers, heads, heads_kv, head, hidden, feed_forward, vocabulary)
    for name, shape in shapes:
        end = offset + 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + offset)
    return offset
