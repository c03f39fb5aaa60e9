# SPDX-License-Identifier: Apache-2.0
"""Model files of any shape, for tests of what an engine allocates.

    path = write_model(folder / "gqa.gguf", SHAPES["gqa"])

The files are real enough for llama-server to load them, but all weights are zero and not written:
the file has a hole where they are, so that large vocabularies and contexts cost no disk.
"""
import struct
from array import array
from dataclasses import dataclass, field, replace

F32, F16, Q4_0, Q8_0 = 0, 1, 2, 8
_BLOCKS = {F32: (1, 4), F16: (1, 2), Q4_0: (32, 18), Q8_0: (32, 34)}
_ALIGNMENT = 32
TOKEN_TYPES = 2  # of BERT
_BYTE_TOKENS = 3  # unknown, begin, end
TOKENS_MIN = _BYTE_TOKENS + 256


@dataclass
class Shape:
    """Numbers of one model; what an architecture has besides stands in `extra` and `tensors`."""

    architecture: str = "llama"
    layers: int = 4
    hidden: int = 256
    heads: int = 4
    heads_kv: int = 4
    head: int = 64
    feed_forward: int = 512
    vocabulary: int = 1024
    context: int = 32768
    tied: bool = False
    experts: int = 0
    experts_used: int = 0
    expert_feed_forward: int = 0
    type: int = F16
    extra: dict = field(default_factory=dict)  # keys without the architecture's prefix
    make_tensors: object = None  # (shape) -> [(name, dimensions, type)] instead of the usual ones


# --- tensors -------------------------------------------------------------------------------------


def _attention(shape, block):
    return [(block + "attn_norm.weight", [shape.hidden], F32),
            (block + "attn_q.weight", [shape.hidden, shape.heads * shape.head], shape.type),
            (block + "attn_k.weight", [shape.hidden, shape.heads_kv * shape.head], shape.type),
            (block + "attn_v.weight", [shape.hidden, shape.heads_kv * shape.head], shape.type),
            (block + "attn_output.weight", [shape.heads * shape.head, shape.hidden], shape.type)]


def _feed_forward(shape, block):
    width = shape.feed_forward
    return [(block + "ffn_norm.weight", [shape.hidden], F32),
            (block + "ffn_gate.weight", [shape.hidden, width], shape.type),
            (block + "ffn_up.weight", [shape.hidden, width], shape.type),
            (block + "ffn_down.weight", [width, shape.hidden], shape.type)]


def _experts(shape, block):
    width, count = shape.expert_feed_forward or shape.feed_forward, shape.experts
    return [(block + "ffn_norm.weight", [shape.hidden], F32),
            (block + "ffn_gate_inp.weight", [shape.hidden, count], F32),
            (block + "ffn_gate_exps.weight", [shape.hidden, width, count], shape.type),
            (block + "ffn_up_exps.weight", [shape.hidden, width, count], shape.type),
            (block + "ffn_down_exps.weight", [width, shape.hidden, count], shape.type)]


def _ends(shape):
    out = [("token_embd.weight", [shape.hidden, shape.vocabulary], shape.type),
           ("output_norm.weight", [shape.hidden], F32)]
    if not shape.tied:
        out.append(("output.weight", [shape.hidden, shape.vocabulary], shape.type))
    return out


def usual_tensors(shape):
    """A transformer as llama's, with what its relatives add."""
    out = _ends(shape)
    for layer in range(shape.layers):
        block = f"blk.{layer}."
        out += _attention(shape, block)
        out += _experts(shape, block) if shape.experts else _feed_forward(shape, block)
        if shape.architecture in ("qwen3", "qwen3moe", "gemma3"):
            out += [(block + "attn_q_norm.weight", [shape.head], F32),
                    (block + "attn_k_norm.weight", [shape.head], F32)]
        if shape.architecture in ("gemma2", "gemma3"):
            out += [(block + "post_attention_norm.weight", [shape.hidden], F32),
                    (block + "post_ffw_norm.weight", [shape.hidden], F32)]
        if shape.architecture == "qwen2":
            width = shape.heads_kv * shape.head
            out += [(block + "attn_q.bias", [shape.heads * shape.head], F32),
                    (block + "attn_k.bias", [width], F32), (block + "attn_v.bias", [width], F32)]
    return out


def mla_tensors(shape):
    """deepseek2 with its absorbed matrices: one latent vector a token in the cache."""
    out = _ends(shape)
    latent, rope = shape.extra["attention.kv_lora_rank"], shape.extra["rope.dimension_count"]
    key, value = (shape.extra[f"attention.{name}_length_mla"] for name in ("key", "value"))
    q_lora, queries = shape.extra.get("attention.q_lora_rank", 0), shape.heads * key
    for layer in range(shape.layers):
        block = f"blk.{layer}."
        out.append((block + "attn_norm.weight", [shape.hidden], F32))
        if q_lora:
            out += [(block + "attn_q_a.weight", [shape.hidden, q_lora], shape.type),
                    (block + "attn_q_a_norm.weight", [q_lora], F32),
                    (block + "attn_q_b.weight", [q_lora, queries], shape.type)]
        else:
            out.append((block + "attn_q.weight", [shape.hidden, queries], shape.type))
        out += [(block + "attn_kv_a_mqa.weight", [shape.hidden, latent + rope], shape.type),
                (block + "attn_kv_a_norm.weight", [latent], F32),
                (block + "attn_k_b.weight", [key - rope, latent, shape.heads], shape.type),
                (block + "attn_v_b.weight", [latent, value, shape.heads], shape.type),
                (block + "attn_output.weight", [shape.heads * value, shape.hidden], shape.type)]
        if layer < shape.extra["leading_dense_block_count"]:
            out += _feed_forward(shape, block)
        else:
            width = shape.expert_feed_forward
            out += _experts(shape, block)
            out += [(block + "ffn_gate_shexp.weight", [shape.hidden, width], shape.type),
                    (block + "ffn_up_shexp.weight", [shape.hidden, width], shape.type),
                    (block + "ffn_down_shexp.weight", [width, shape.hidden], shape.type)]
            if "expert_group_count" in shape.extra:
                out.append((block + "exp_probs_b.bias", [shape.experts], F32))
    return out


def mamba_tensors(shape):
    out = _ends(shape)
    inner, state = shape.extra["ssm.inner_size"], shape.extra["ssm.state_size"]
    rank, kernel = shape.extra["ssm.time_step_rank"], shape.extra["ssm.conv_kernel"]
    for layer in range(shape.layers):
        block = f"blk.{layer}."
        out += [(block + "attn_norm.weight", [shape.hidden], F32),
                (block + "ssm_in.weight", [shape.hidden, 2 * inner], shape.type),
                (block + "ssm_conv1d.weight", [kernel, inner], F32),
                (block + "ssm_conv1d.bias", [inner], F32),
                (block + "ssm_x.weight", [inner, rank + 2 * state], shape.type),
                (block + "ssm_dt.weight", [rank, inner], shape.type),
                (block + "ssm_dt.bias", [inner], F32),
                (block + "ssm_a", [state, inner], F32),
                (block + "ssm_d", [inner], F32),
                (block + "ssm_out.weight", [inner, shape.hidden], shape.type)]
    return out


def jamba_tensors(shape):
    """Layers with attention among layers with a state."""
    out = _ends(shape)
    inner, state = shape.extra["ssm.inner_size"], shape.extra["ssm.state_size"]
    rank, kernel = shape.extra["ssm.time_step_rank"], shape.extra["ssm.conv_kernel"]
    for layer, heads_kv in enumerate(shape.extra["attention.head_count_kv"]):
        block = f"blk.{layer}."
        if heads_kv:
            out += _attention(replace(shape, heads_kv=heads_kv), block)
        else:
            out += [(block + "attn_norm.weight", [shape.hidden], F32),
                    (block + "ssm_in.weight", [shape.hidden, 2 * inner], shape.type),
                    (block + "ssm_conv1d.weight", [kernel, inner], F32),
                    (block + "ssm_conv1d.bias", [inner], F32),
                    (block + "ssm_x.weight", [inner, rank + 2 * state], shape.type),
                    (block + "ssm_dt_norm.weight", [rank], F32),
                    (block + "ssm_dt.weight", [rank, inner], shape.type),
                    (block + "ssm_dt.bias", [inner], F32),
                    (block + "ssm_b_norm.weight", [state], F32),
                    (block + "ssm_c_norm.weight", [state], F32),
                    (block + "ssm_a", [state, inner], F32),
                    (block + "ssm_d", [inner], F32),
                    (block + "ssm_out.weight", [inner, shape.hidden], shape.type)]
        out += _feed_forward(shape, block)
    return out


def bert_tensors(shape):
    """An encoder: no cache, no gate, positions and norms with biases."""
    def with_bias(name, dimensions):
        return [(name + ".weight", dimensions, shape.type if len(dimensions) > 1 else F32),
                (name + ".bias", dimensions[-1:], F32)]

    width, wide = shape.heads * shape.head, shape.feed_forward
    out = [("token_embd.weight", [shape.hidden, shape.vocabulary], shape.type),
           ("token_types.weight", [shape.hidden, TOKEN_TYPES], F32),
           ("position_embd.weight", [shape.hidden, shape.context], shape.type)]
    out += with_bias("token_embd_norm", [shape.hidden])
    for layer in range(shape.layers):
        block = f"blk.{layer}."
        for name in ("attn_q", "attn_k", "attn_v"):
            out += with_bias(block + name, [shape.hidden, width])
        out += with_bias(block + "attn_output", [width, shape.hidden])
        out += with_bias(block + "attn_output_norm", [shape.hidden])
        out += with_bias(block + "ffn_up", [shape.hidden, wide])
        out += with_bias(block + "ffn_down", [wide, shape.hidden])
        out += with_bias(block + "layer_output_norm", [shape.hidden])
    return out


# --- the file ------------------------------------------------------------------------------------


def _string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value):
    """Type number and bytes, by the value's own type; numbers are u32, as converters write them."""
    if isinstance(value, bool):
        return 7, struct.pack("<?", value)
    if isinstance(value, int):
        return 4, struct.pack("<I", value)
    if isinstance(value, float):
        return 6, struct.pack("<f", value)
    if isinstance(value, str):
        return 8, _string(value)
    if isinstance(value, array):
        return 9, struct.pack("<IQ", 5, len(value)) + value.tobytes()
    kind = _value(value[0])[0]
    return 9, struct.pack("<IQ", kind, len(value)) + b"".join(_value(item)[1] for item in value)


def _vocabulary(count):
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    tokens += [f"t{i}" for i in range(count - len(tokens))]
    types = [2, 3, 3] + [6] * 256 + [1] * (count - TOKENS_MIN)
    return {"tokenizer.ggml.model": "llama", "tokenizer.ggml.pre": "default",
            "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.scores": [0.0] * count,
            "tokenizer.ggml.token_type": array("i", types), "tokenizer.ggml.bos_token_id": 1,
            "tokenizer.ggml.eos_token_id": 2, "tokenizer.ggml.unknown_token_id": 0}


def _keys(shape):
    own = {"context_length": shape.context, "embedding_length": shape.hidden,
           "block_count": shape.layers, "feed_forward_length": shape.feed_forward,
           "attention.head_count": shape.heads, "attention.head_count_kv": shape.heads_kv,
           "attention.key_length": shape.head, "attention.value_length": shape.head,
           "rope.dimension_count": shape.head, "attention.layer_norm_rms_epsilon": 1e-5,
           "vocab_size": shape.vocabulary}
    if shape.experts:
        own |= {"expert_count": shape.experts, "expert_used_count": shape.experts_used}
    if shape.expert_feed_forward:
        own["expert_feed_forward_length"] = shape.expert_feed_forward
    own |= shape.extra
    keys = {"general.architecture": shape.architecture, "general.type": "model",
            "general.file_type": 1}
    keys |= {f"{shape.architecture}.{key}": value for key, value in own.items()}
    if shape.make_tensors is bert_tensors:
        keys["tokenizer.ggml.token_type_count"] = TOKEN_TYPES
    return keys | _vocabulary(shape.vocabulary)


def tensor_bytes(dimensions, kind):
    elements, size = _BLOCKS[kind]
    count = 1
    for length in dimensions:
        count *= length
    return count // elements * size


def write_model(path, shape):
    """Writes the file and returns its path."""
    tensors = (shape.make_tensors or usual_tensors)(shape)
    keys = _keys(shape)
    out = bytearray(struct.pack("<IIQQ", 0x46554747, 3, len(tensors), len(keys)))
    for key, value in keys.items():
        kind, data = _value(value)
        out += _string(key) + struct.pack("<I", kind) + data
    offset = 0
    for name, dimensions, kind in tensors:
        out += _string(name) + struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions)
        out += struct.pack("<IQ", kind, offset)
        offset += -(-tensor_bytes(dimensions, kind) // _ALIGNMENT) * _ALIGNMENT
    out += bytes(-len(out) % _ALIGNMENT)
    with open(path, "wb") as file:
        file.write(out)
        file.truncate(len(out) + offset)
    return path


# --- shapes --------------------------------------------------------------------------------------

_SSM = {"ssm.conv_kernel": 4, "ssm.inner_size": 512, "ssm.state_size": 16,
        "ssm.time_step_rank": 16}


def _mla(latent, rope, nope, value, q_lora, groups=0, **more):
    """deepseek2; experts in groups come with a bias, as of DeepSeek-V3."""
    extra = {"attention.key_length": latent + rope, "attention.value_length": latent,
             "attention.key_length_mla": nope + rope, "attention.value_length_mla": value,
             "attention.kv_lora_rank": latent, "rope.dimension_count": rope,
             "leading_dense_block_count": 1, "expert_shared_count": 1,
             "expert_weights_scale": 1.0, "expert_weights_norm": True, "expert_gating_func": 2}
    if q_lora:
        extra["attention.q_lora_rank"] = q_lora
    if groups:
        extra |= {"expert_group_count": groups, "expert_group_used_count": groups // 2}
    return Shape(architecture="deepseek2", heads_kv=1, head=latent + rope, experts_used=2,
                 expert_feed_forward=128, make_tensors=mla_tensors, extra=extra, **more)


SHAPES = {
    "mha": Shape(),
    "gqa": Shape(heads=8, heads_kv=2, layers=6),
    "tied": Shape(architecture="qwen2", heads=4, heads_kv=2, tied=True),
    "large-vocabulary": Shape(layers=2, vocabulary=128256, heads_kv=1),
    "wide": Shape(layers=2, hidden=1024, heads=16, heads_kv=4, feed_forward=8192),
    "quantised": Shape(type=Q4_0, heads_kv=2, layers=5),
    "moe": Shape(architecture="qwen3moe", heads=8, heads_kv=2, experts=16, experts_used=4,
                 expert_feed_forward=128),
    "mixtral": Shape(heads_kv=2, experts=4, experts_used=2),
    "window": Shape(architecture="gemma3", heads=4, heads_kv=1, head=128, layers=12, tied=True,
                    extra={"attention.sliding_window": 512}),
    "window-2": Shape(architecture="gemma2", heads=4, heads_kv=2, layers=6, tied=True,
                      extra={"attention.sliding_window": 1024,
                             "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0}),
    "mla": _mla(512, 64, 128, 128, 192, heads=4, experts=8),
    "mla-direct": _mla(256, 32, 64, 96, 0, heads=16, experts=8, layers=27),
    "mla-groups": _mla(512, 64, 192, 256, 768, heads=20, experts=64, hidden=1024, layers=5,
                       groups=8),
    "state": Shape(architecture="mamba", layers=4, tied=True, feed_forward=0,
                   make_tensors=mamba_tensors, extra=dict(_SSM)),
    "encoder": Shape(architecture="bert", hidden=384, heads=6, heads_kv=6, feed_forward=1536,
                     context=2048, make_tensors=bert_tensors,
                     extra={"attention.causal": False, "pooling_type": 1,
                            "attention.layer_norm_epsilon": 1e-12}),
    "hybrid": Shape(architecture="jamba", layers=6, heads=4, make_tensors=jamba_tensors,
                    extra=_SSM | {"attention.head_count_kv": [0, 2, 0, 0, 2, 0]}),
}
