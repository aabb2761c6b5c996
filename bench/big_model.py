"""Writes a GGUF of a Llama shape with random 4-bit weights: a model that is as large as a real one
and answers nonsense, for measuring starts. Tokenizer and template are another GGUF's.

  python3 bench/big_model.py models/SmolLM2-135M-Instruct.Q4_1.gguf /tmp/big/llama-1.1b.gguf

The default is the shape of TinyLlama 1.1B (2048 / 5632, 22 layers, 32 heads, 4 kv) with the source's
vocabulary. Needs NumPy. Every weight comes from a seed, so that the file is the same everywhere.
"""
import argparse
import math
import os
import struct

import numpy as np

F32, Q4_0 = 0, 2
SCALAR_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY = 8, 9


class Metadata:
    """The metadata of a GGUF file, each value as the bytes it has there."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read(64 << 20)  # metadata comes first; no tokenizer is larger
        magic, version, _, keys = struct.unpack_from("<IIQQ", self.data, 0)
        assert magic == 0x46554747 and version == 3, path
        self.at = 24
        self.values = {}
        for _ in range(keys):
            key = self.text().decode()
            begin = self.at
            self.skip_value(self.number("<I"))
            self.values[key] = self.data[begin:self.at]

    def number(self, code):
        value, = struct.unpack_from(code, self.data, self.at)
        self.at += struct.calcsize(code)
        return value

    def text(self):
        count = self.number("<Q")
        self.at += count
        return self.data[self.at - count:self.at]

    def skip_value(self, kind):
        if kind == STRING:
            self.text()
        elif kind == ARRAY:
            inner, count = self.number("<I"), self.number("<Q")
            if inner in SCALAR_BYTES:
                self.at += count * SCALAR_BYTES[inner]
            else:
                for _ in range(count):
                    self.skip_value(inner)
        else:
            self.at += SCALAR_BYTES[kind]

    def strings(self, key):
        """An array of strings."""
        raw = self.values[key]
        kind, inner, count = struct.unpack_from("<IIQ", raw, 0)
        assert (kind, inner) == (ARRAY, STRING), key
        out, at = [], 16
        for _ in range(count):
            length, = struct.unpack_from("<Q", raw, at)
            out.append(raw[at + 8:at + 8 + length])
            at += 8 + length
        return out


def string(data):
    return struct.pack("<Q", len(data)) + data


def u32(value):
    return struct.pack("<II", 4, value)


def f32(value):
    return struct.pack("<If", 6, value)


def shape_values(args):
    prefix = "llama."
    return {
        "general.architecture": struct.pack("<I", STRING) + string(b"llama"),
        "general.name": struct.pack("<I", STRING) + string(b"random " + args.name.encode()),
        prefix + "context_length": u32(args.context),
        prefix + "embedding_length": u32(args.dim),
        prefix + "feed_forward_length": u32(args.ffn),
        prefix + "block_count": u32(args.layers),
        prefix + "attention.head_count": u32(args.heads),
        prefix + "attention.head_count_kv": u32(args.kv_heads),
        prefix + "attention.layer_norm_rms_epsilon": f32(1e-5),
        prefix + "rope.dimension_count": u32(args.dim // args.heads),
        prefix + "rope.freq_base": f32(10000.0),
        prefix + "vocab_size": u32(args.vocabulary),
    }


def tensors(args):
    """(name, columns, rows) in the order of the file; one row is a vector."""
    kv = args.dim // args.heads * args.kv_heads
    yield "token_embd.weight", args.dim, args.vocabulary
    for i in range(args.layers):
        for name, cols, rows in (("attn_norm", args.dim, 1), ("attn_q", args.dim, args.dim),
                                 ("attn_k", args.dim, kv), ("attn_v", args.dim, kv),
                                 ("attn_output", args.dim, args.dim), ("ffn_norm", args.dim, 1),
                                 ("ffn_gate", args.dim, args.ffn), ("ffn_up", args.dim, args.ffn),
                                 ("ffn_down", args.ffn, args.dim)):
            yield f"blk.{i}.{name}.weight", cols, rows
    yield "output_norm.weight", args.dim, 1
    yield "output.weight", args.dim, args.vocabulary


def q4_0(rng, cols, rows):
    """Random blocks: uniform nibbles, and scales that keep a product's size (1 / sqrt(cols))."""
    blocks = rows * cols // 32
    raw = np.empty((blocks, 18), np.uint8)
    raw[:, 2:] = rng.integers(0, 256, (blocks, 16), np.uint8)
    scale = 1 / (math.sqrt(cols) * 4.6)  # 4.6: the deviation of a uniform nibble
    scales = (scale * rng.uniform(0.5, 1.5, blocks)).astype(np.float16)
    raw[:, :2] = scales[:, None].view(np.uint8)
    return raw


def is_plain(token):
    """Whether a token is text on its own: letters and spaces, so that every answer shows."""
    return all(97 <= byte <= 122 for byte in token.removeprefix("\u0120".encode())) and token


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tokenizer", help="a GGUF whose tokenizer and template to take")
    parser.add_argument("output")
    parser.add_argument("--name", default="llama 1.1B")
    parser.add_argument("--dim", type=int, default=2048)
    parser.add_argument("--ffn", type=int, default=5632)
    parser.add_argument("--layers", type=int, default=22)
    parser.add_argument("--heads", type=int, default=32)
    parser.add_argument("--kv-heads", type=int, default=4)
    parser.add_argument("--context", type=int, default=4096)
    args = parser.parse_args()

    source = Metadata(args.tokenizer)
    tokens = source.strings("tokenizer.ggml.tokens")
    args.vocabulary = len(tokens)
    values = shape_values(args)
    values.update({key: raw for key, raw in source.values.items() if key.startswith("tokenizer.")})
    head = b"".join(string(key.encode()) + raw for key, raw in values.items())
    listed, offset = b"", 0
    shapes = list(tensors(args))
    for name, cols, rows in shapes:
        kind, size = (F32, 4 * cols) if rows == 1 else (Q4_0, rows * cols // 32 * 18)
        dims = [cols] if rows == 1 else [cols, rows]
        listed += string(name.encode()) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind,
                                                      offset)
        offset += (size + 31) // 32 * 32
    head = struct.pack("<IIQQ", 0x46554747, 3, len(shapes), len(values)) + head + listed

    rng = np.random.default_rng(1)
    os.makedirs(os.path.dirname(os.path.abspath(args.output)), exist_ok=True)
    with open(args.output + ".part", "wb") as file:
        file.write(head + b"\0" * (-len(head) % 32))
        for name, cols, rows in shapes:
            if rows == 1:
                raw = np.ones(cols, np.float32)
            else:
                raw = q4_0(rng, cols, rows)
                if name == "output.weight":  # what is no word gets a logit of 0: nibbles of 8
                    by_row = raw.reshape(rows, cols // 32, 18)
                    dull = [i for i, token in enumerate(tokens) if not is_plain(token)]
                    by_row[dull, :, 2:] = 0x88
            file.write(raw.tobytes() + b"\0" * (-raw.nbytes % 32))
    os.replace(args.output + ".part", args.output)


if __name__ == "__main__":
    main()
