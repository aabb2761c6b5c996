"""Makes the golden models and the logits they must give. Needs Python 3 with NumPy; not needed to
run the tests, which read what it wrote. Deterministic.

  python3 make_golden.py ../data/golden

For each model: NAME.gguf (or a directory NAME as Hugging Face has it), and NAME.expected:
little-endian u32 token_count, u32 vocabulary, u32 tokens[], f32 logits[token][vocabulary].
Query and key weights are scaled up so that attention is far from uniform: a wrong rope pairing, a
shifted position or a wrong kv head must show.
"""
import json
import os
import struct
import sys

import numpy as np

import gguf_write as gguf
from reference import forward

TOKENS = 40


def byte_alphabet():
    """GPT-2's printable stand-ins for the 256 bytes."""
    keep = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    table, extra = {}, 0
    for byte in range(256):
        table[byte] = chr(byte) if byte in keep else chr(256 + extra)
        extra += byte not in keep
    return table


def tokenizer():
    """256 bytes, some merges of English, three control tokens: 288 tokens."""
    table = byte_alphabet()
    tokens = [table[b] for b in range(256)]
    space = table[32]
    merges = [(space, "t"), ("h", "e"), (space + "t", "he"), ("i", "n"), (space, "a"), ("e", "r"),
              ("o", "n"), ("r", "e"), (space, "s"), ("a", "t"), (space, "w"), ("e", "n"),
              (space, "c"), ("o", "r"), ("e", "s"), ("i", "t"), ("i", "s"), (space, "b"),
              ("in", "g"), ("o", "u"), (space, "p"), ("a", "n"), ("l", "l"), (space, "m"),
              ("e", "d"), (space, "f"), ("a", "l"), (space, "d"), ("a", "r")]
    tokens += [a + b for a, b in merges]
    control = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    return tokens + control, [f"{a} {b}" for a, b in merges], len(tokens)


CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n'"
    " }}{% endif %}")


def base_config(**changes):
    config = dict(architecture="llama", layers=2, dim=64, heads=4, kv_heads=2, head_dim=16, ffn=96,
                  context=512, epsilon=1e-5, rope_base=10000.0, tied=False, interleaved=True)
    config.update(changes)
    config.setdefault("rope_dims", config["head_dim"])
    return config


def random_weights(config, random):
    def matrix(rows, cols, scale=1.0):
        return (random.standard_normal((rows, cols)) * scale / np.sqrt(cols)).astype(np.float32)

    def vector(count, middle, spread):
        return (middle + spread * random.standard_normal(count)).astype(np.float32)

    dim, head_dim = config["dim"], config["head_dim"]
    queries, keys = config["heads"] * head_dim, config["kv_heads"] * head_dim
    weights = {"embedding": matrix(config["vocabulary"], dim, np.sqrt(dim)),
               "output_norm": vector(dim, 1, 0.1), "layers": []}
    if not config["tied"]:
        weights["output"] = matrix(config["vocabulary"], dim, 2.0)
    for _ in range(config["layers"]):
        layer = {"attention_norm": vector(dim, 1, 0.1), "query": matrix(queries, dim, 2.5),
                 "key": matrix(keys, dim, 2.5), "value": matrix(keys, dim, 1.5),
                 "attention_output": matrix(dim, queries, 1.5),
                 "feed_forward_norm": vector(dim, 1, 0.1), "gate": matrix(config["ffn"], dim, 1.5),
                 "up": matrix(config["ffn"], dim), "down": matrix(dim, config["ffn"], 1.5)}
        if config["architecture"] == "qwen2":
            layer.update(query_bias=vector(queries, 0, 0.5), key_bias=vector(keys, 0, 0.5),
                         value_bias=vector(keys, 0, 0.5))
        if config["architecture"] == "qwen3":
            layer.update(query_norm=vector(head_dim, 1.5, 0.2),
                         key_norm=vector(head_dim, 1.5, 0.2))
        weights["layers"].append(layer)
    return weights


GGUF_NAMES = {"attention_norm": "attn_norm.weight", "query": "attn_q.weight",
              "key": "attn_k.weight", "value": "attn_v.weight",
              "query_bias": "attn_q.bias", "key_bias": "attn_k.bias",
              "value_bias": "attn_v.bias", "query_norm": "attn_q_norm.weight",
              "key_norm": "attn_k_norm.weight", "attention_output": "attn_output.weight",
              "feed_forward_norm": "ffn_norm.weight", "gate": "ffn_gate.weight",
              "up": "ffn_up.weight", "down": "ffn_down.weight"}


def kind_for(name, kind):
    """One kind for all matrices, or a mixture as Q4_K_M files have it."""
    if isinstance(kind, int):
        return kind
    return kind.get(name, kind["other"])


def write_gguf(path, config, weights, kind):
    """Writes the file and returns the weights that its bytes stand for."""
    tokens, merges, first_control = tokenizer()
    arch = config["architecture"]
    metadata = {
        "general.architecture": arch, "general.name": f"golden {os.path.basename(path)[:-5]}",
        f"{arch}.block_count": config["layers"], f"{arch}.embedding_length": config["dim"],
        f"{arch}.attention.head_count": config["heads"],
        f"{arch}.attention.head_count_kv": config["kv_heads"],
        f"{arch}.attention.key_length": config["head_dim"],
        f"{arch}.attention.value_length": config["head_dim"],
        f"{arch}.feed_forward_length": config["ffn"], f"{arch}.context_length": config["context"],
        f"{arch}.attention.layer_norm_rms_epsilon": config["epsilon"],
        f"{arch}.rope.freq_base": config["rope_base"],
        f"{arch}.rope.dimension_count": config["rope_dims"],
        f"{arch}.vocab_size": config["vocabulary"],
        "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.token_type": [1] * first_control + [3] * (len(tokens) - first_control),
        "tokenizer.ggml.bos_token_id": first_control,
        "tokenizer.ggml.eos_token_id": len(tokens) - 1,
        "tokenizer.ggml.add_bos_token": False, "tokenizer.chat_template": CHAT_TEMPLATE}
    scaling = config.get("rope_scaling")
    tensors, real = [], {"layers": []}

    def add(name, value, which):
        raw, exact = gguf.quantise(value, gguf.F32 if value.ndim == 1 else which)
        tensors.append((name, value.shape, gguf.F32 if value.ndim == 1 else which, raw))
        return exact

    if scaling and scaling["type"] in ("linear", "yarn"):
        metadata[f"{arch}.rope.scaling.type"] = scaling["type"]
        metadata[f"{arch}.rope.scaling.factor"] = scaling["factor"]
        if scaling["type"] == "yarn":
            metadata[f"{arch}.rope.scaling.original_context_length"] = scaling["original"]
    if scaling and scaling["type"] == "llama3":
        plain = config["rope_base"] ** (-np.arange(0, config["rope_dims"], 2) / config["rope_dims"])
        from reference import rope_frequencies
        divisors = (plain / rope_frequencies(config)[0]).astype(np.float32)
        add("rope_freqs.weight", divisors, gguf.F32)
    real["embedding"] = add("token_embd.weight", weights["embedding"], kind_for("embedding", kind))
    for index, layer in enumerate(weights["layers"]):
        real["layers"].append({name: add(f"blk.{index}.{GGUF_NAMES[name]}", value,
                                         kind_for(name, kind)) for name, value in layer.items()})
    real["output_norm"] = add("output_norm.weight", weights["output_norm"], gguf.F32)
    if "output" in weights:
        real["output"] = add("output.weight", weights["output"], kind_for("output", kind))
    gguf.write_gguf(path, metadata, tensors)
    return real


HF_NAMES = {"attention_norm": "input_layernorm.weight", "query": "self_attn.q_proj.weight",
            "key": "self_attn.k_proj.weight", "value": "self_attn.v_proj.weight",
            "query_bias": "self_attn.q_proj.bias", "key_bias": "self_attn.k_proj.bias",
            "value_bias": "self_attn.v_proj.bias", "query_norm": "self_attn.q_norm.weight",
            "key_norm": "self_attn.k_norm.weight", "attention_output": "self_attn.o_proj.weight",
            "feed_forward_norm": "post_attention_layernorm.weight", "gate": "mlp.gate_proj.weight",
            "up": "mlp.up_proj.weight", "down": "mlp.down_proj.weight"}
HF_TYPES = {gguf.F32: "F32", gguf.F16: "F16", gguf.BF16: "BF16"}


def write_safetensors(path, tensors):
    header, offset = {}, 0
    for name, shape, kind, raw in tensors:
        header[name] = {"dtype": HF_TYPES[kind], "shape": list(shape),
                        "data_offsets": [offset, offset + len(raw)]}
        offset += len(raw)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, _, _, raw in tensors:
            file.write(raw)


def write_tokenizer_json(directory):
    tokens, merges, first_control = tokenizer()
    added = [{"id": i, "content": tokens[i], "single_word": False, "lstrip": False, "rstrip": False,
              "normalized": False, "special": True} for i in range(first_control, len(tokens))]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                  "use_regex": True}
    with open(os.path.join(directory, "tokenizer.json"), "w") as file:
        json.dump({"version": "1.0", "added_tokens": added, "normalizer": None,
                   "pre_tokenizer": byte_level, "post_processor": None, "decoder": byte_level,
                   "model": {"type": "BPE", "dropout": None, "unk_token": None, "fuse_unk": False,
                             "byte_fallback": False, "ignore_merges": False,
                             "vocab": {t: i for i, t in enumerate(tokens[:first_control])},
                             "merges": merges}}, file)
    with open(os.path.join(directory, "tokenizer_config.json"), "w") as file:
        json.dump({"tokenizer_class": "GPT2Tokenizer", "bos_token": tokens[first_control],
                   "eos_token": tokens[-1], "add_bos_token": False,
                   "chat_template": CHAT_TEMPLATE}, file)
    with open(os.path.join(directory, "generation_config.json"), "w") as file:
        json.dump({"bos_token_id": first_control, "eos_token_id": [first_control, len(tokens) - 1]},
                  file)


def write_hugging_face(directory, config, weights, kind, shards):
    os.makedirs(directory, exist_ok=True)
    arch = config["architecture"]
    body = {"architectures": [{"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM",
                               "qwen3": "Qwen3ForCausalLM"}[arch]],
            "model_type": arch, "hidden_act": "silu", "hidden_size": config["dim"],
            "intermediate_size": config["ffn"], "num_hidden_layers": config["layers"],
            "num_attention_heads": config["heads"], "num_key_value_heads": config["kv_heads"],
            "head_dim": config["head_dim"], "max_position_embeddings": config["context"],
            "rms_norm_eps": config["epsilon"], "rope_theta": config["rope_base"],
            "tie_word_embeddings": config["tied"], "vocab_size": config["vocabulary"],
            "torch_dtype": {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}[HF_TYPES[kind]]}
    scaling = config.get("rope_scaling")
    if scaling:
        body["rope_scaling"] = {"rope_type": scaling["type"], "factor": scaling["factor"]}
        if scaling["type"] == "llama3":
            body["rope_scaling"].update(low_freq_factor=scaling["low"],
                                        high_freq_factor=scaling["high"],
                                        original_max_position_embeddings=scaling["original"])
        if scaling["type"] == "yarn":
            body["rope_scaling"]["original_max_position_embeddings"] = scaling["original"]
    with open(os.path.join(directory, "config.json"), "w") as file:
        json.dump(body, file, indent=1)
    write_tokenizer_json(directory)
    tensors, real = [], {"layers": []}

    def add(name, value):
        raw, exact = gguf.quantise(value, kind)
        tensors.append((name, value.shape, kind, raw))
        return exact

    real["embedding"] = add("model.embed_tokens.weight", weights["embedding"])
    for index, layer in enumerate(weights["layers"]):
        real["layers"].append({name: add(f"model.layers.{index}.{HF_NAMES[name]}", value)
                               for name, value in layer.items()})
    real["output_norm"] = add("model.norm.weight", weights["output_norm"])
    if "output" in weights:
        real["output"] = add("lm_head.weight", weights["output"])
    if shards == 1:
        write_safetensors(os.path.join(directory, "model.safetensors"), tensors)
        return real
    index = {"metadata": {"total_size": sum(len(t[3]) for t in tensors)}, "weight_map": {}}
    for shard in range(shards):
        name = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        mine = tensors[shard::shards]
        write_safetensors(os.path.join(directory, name), mine)
        index["weight_map"].update({tensor[0]: name for tensor in mine})
    with open(os.path.join(directory, "model.safetensors.index.json"), "w") as file:
        json.dump(index, file, indent=1)
    return real


WIDE = dict(dim=256, heads=4, kv_heads=2, head_dim=64, ffn=256, layers=1, context=512)
LLAMA3 = {"type": "llama3", "factor": 8.0, "low": 1.0, "high": 4.0, "original": 16}
YARN = {"type": "yarn", "factor": 4.0, "original": 16}
HALF = dict(interleaved=False)

MODELS = [
    # name, config changes, kind; "hf" in the name: a Hugging Face directory
    ("llama-f32", {}, gguf.F32),
    ("llama-tied-f16", dict(tied=True), gguf.F16),
    ("llama-bf16", dict(heads=6, kv_heads=3, head_dim=24, rope_dims=24), gguf.BF16),
    ("llama-partial-rope-f32", dict(rope_dims=8), gguf.F32),
    ("llama-linear-f32", dict(rope_scaling={"type": "linear", "factor": 4.0}), gguf.F32),
    ("llama-llama3-f32", dict(rope_scaling=LLAMA3, rope_base=500.0), gguf.F32),
    ("llama-yarn-f32", dict(rope_scaling=YARN, rope_base=500.0), gguf.F32),
    ("qwen2-f32", dict(architecture="qwen2", **HALF), gguf.F32),
    ("qwen3-f32", dict(architecture="qwen3", head_dim=32, rope_dims=32, **HALF), gguf.F32),
    ("llama-q8_0", dict(tied=True), gguf.Q8_0),
    ("llama-q4_0", dict(dim=96, heads=3, kv_heads=1, head_dim=32, rope_dims=32), gguf.Q4_0),
    ("llama-q4_1", dict(tied=True), gguf.Q4_1),
    ("llama-q5_0", {}, gguf.Q5_0),
    ("llama-q5_1", {}, gguf.Q5_1),
    ("llama-iq4_nl", {}, gguf.IQ4_NL),
    ("llama-q4_k", WIDE, gguf.Q4_K),
    ("qwen2-q5_k", dict(architecture="qwen2", **HALF, **WIDE), gguf.Q5_K),
    ("qwen3-q6_k", dict(architecture="qwen3", **HALF, **WIDE), gguf.Q6_K),
    ("llama-q4_k_m", WIDE, {"other": gguf.Q4_K, "value": gguf.Q6_K, "down": gguf.Q6_K,
                            "output": gguf.Q6_K, "embedding": gguf.Q4_K}),
    ("hf-llama-f32", dict(tied=True, **HALF), gguf.F32),
    ("hf-llama3-bf16", dict(rope_scaling=LLAMA3, rope_base=500.0, **HALF), gguf.BF16),
    ("hf-qwen2-f16-sharded", dict(architecture="qwen2", **HALF), gguf.F16),
    ("hf-qwen3-bf16", dict(architecture="qwen3", tied=True, head_dim=32, rope_dims=32, **HALF),
     gguf.BF16),
    ("hf-qwen2-yarn-f32", dict(architecture="qwen2", rope_scaling=YARN, rope_base=500.0, **HALF),
     gguf.F32),
]


def main(directory):
    os.makedirs(directory, exist_ok=True)
    for seed, (name, changes, kind) in enumerate(MODELS):
        random = np.random.default_rng(1000 + seed)
        if "head_dim" in changes:
            changes = {"rope_dims": changes["head_dim"], **changes}
        config = base_config(vocabulary=len(tokenizer()[0]), **changes)
        weights = random_weights(config, random)
        tokens = random.integers(0, config["vocabulary"], TOKENS)
        if name.startswith("hf-"):
            real = write_hugging_face(os.path.join(directory, name), config, weights, kind,
                                      2 if "sharded" in name else 1)
        else:
            real = write_gguf(os.path.join(directory, name + ".gguf"), config, weights, kind)
        logits = forward(config, real, tokens)
        with open(os.path.join(directory, name + ".expected"), "wb") as file:
            file.write(struct.pack("<II", TOKENS, config["vocabulary"]))
            file.write(tokens.astype("<u4").tobytes() + logits.astype("<f4").tobytes())
        spread = logits.std()
        print(f"{name:24} logits deviate by {spread:.2f}")


if __name__ == "__main__":
    main(sys.argv[1])
