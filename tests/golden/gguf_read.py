"""Reads GGUF files in NumPy: metadata, and the float32 values of llama-like weights. For checking
against models that are not our own; covers F32, F16, Q4_0, Q4_1 and Q8_0.
"""
import struct

import numpy as np

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q",
           12: "d"}


class Cursor:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, code):
        value, = struct.unpack_from("<" + code, self.data, self.at)
        self.at += struct.calcsize("<" + code)
        return value

    def text(self):
        count = self.take("Q")
        self.at += count
        return self.data[self.at - count:self.at].decode("utf-8", "replace")

    def value(self, kind):
        if kind == 8:
            return self.text()
        if kind == 9:
            inner, count = self.take("I"), self.take("Q")
            return [self.value(inner) for _ in range(count)]
        return self.take(SCALARS[kind])


def halves(raw):
    return np.ascontiguousarray(raw).view(np.float16).astype(np.float32)


def dequantise(kind, raw, count):
    raw = np.frombuffer(raw, np.uint8)
    if kind == 0:
        return raw[:4 * count].view(np.float32).copy()
    if kind == 1:
        return halves(raw[:2 * count])
    size = {2: 18, 3: 20, 8: 34}[kind]
    blocks = raw[:count // 32 * size].reshape(-1, size)
    scale = halves(blocks[:, :2])
    if kind == 8:
        return (scale * blocks[:, 2:].view(np.int8)).reshape(-1)
    packed = blocks[:, 2 if kind == 2 else 4:]
    nibbles = np.concatenate([packed & 15, packed >> 4], 1).astype(np.float32)
    if kind == 2:
        return (scale * (nibbles - 8)).reshape(-1)
    return (scale * nibbles + halves(blocks[:, 2:4])).reshape(-1)


def read(path):
    """(metadata, {name: float32 array})."""
    with open(path, "rb") as file:
        data = file.read()
    cursor = Cursor(data)
    assert cursor.take("I") == 0x46554747 and cursor.take("I") == 3
    tensor_count, key_count = cursor.take("Q"), cursor.take("Q")
    metadata = {}
    for _ in range(key_count):
        key = cursor.text()
        metadata[key] = cursor.value(cursor.take("I"))
    heads = []
    for _ in range(tensor_count):
        name = cursor.text()
        shape = [cursor.take("Q") for _ in range(cursor.take("I"))]
        heads.append((name, shape, cursor.take("I"), cursor.take("Q")))
    align = metadata.get("general.alignment", 32)
    base = (cursor.at + align - 1) // align * align
    tensors = {}
    for name, shape, kind, offset in heads:
        count = int(np.prod(shape))
        values = dequantise(kind, data[base + offset:base + offset + 4 * count], count)
        tensors[name] = values.reshape(shape[::-1])
    return metadata, tensors


def model(path):
    """(config, weights) for reference.forward, of a llama file."""
    meta, tensors = read(path)
    heads, dim = meta["llama.attention.head_count"], meta["llama.embedding_length"]
    config = dict(heads=heads, kv_heads=meta["llama.attention.head_count_kv"],
                  head_dim=meta.get("llama.attention.key_length", dim // heads),
                  epsilon=meta["llama.attention.layer_norm_rms_epsilon"], interleaved=True,
                  rope_dims=meta["llama.rope.dimension_count"],
                  rope_base=meta["llama.rope.freq_base"])
    names = dict(attention_norm="attn_norm", query="attn_q", key="attn_k", value="attn_v",
                 attention_output="attn_output", feed_forward_norm="ffn_norm", gate="ffn_gate",
                 up="ffn_up", down="ffn_down")
    weights = {"embedding": tensors["token_embd.weight"],
               "output_norm": tensors["output_norm.weight"],
               "layers": [{name: tensors[f"blk.{i}.{gguf}.weight"] for name, gguf in names.items()}
                          for i in range(meta["llama.block_count"])]}
    if "output.weight" in tensors:
        weights["output"] = tensors["output.weight"]
    return config, weights
