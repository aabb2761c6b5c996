"""Writes GGUF version 3 files and quantises to its block formats, in NumPy. For golden models
only: scales come from plain rounding, since what matters is that dequantise(quantise(x)) is known
exactly.
"""
import struct

import numpy as np

F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 = 0, 1, 2, 3, 6, 7, 8
Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, BF16 = 11, 12, 13, 14, 20, 30

IQ4_NL_VALUES = np.array(
    [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.float32)


def _f16(x):
    return np.asarray(x, np.float32).astype(np.float16)


def _nibbles(q):
    """[blocks, 32] of 0..15 to [blocks, 16] bytes: low nibbles are the first half."""
    return (q[:, :16] | (q[:, 16:] << 4)).astype(np.uint8)


def _f32(x):
    return x.astype(np.float32).tobytes(), x.astype(np.float32)


def _half(x):
    h = x.astype(np.float16)
    return h.tobytes(), h.astype(np.float32)


def _bf16(x):
    bits = x.astype(np.float32).view(np.uint32)
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return bits.astype(np.uint16).tobytes(), (bits.astype(np.uint32) << 16).view(np.float32)


def _q8_0(x):
    b = x.reshape(-1, 32)
    d = _f16(np.abs(b).max(1) / 127)
    q = np.clip(np.rint(b / np.maximum(d.astype(np.float32), 1e-30)[:, None]), -127, 127)
    raw = np.concatenate([d[:, None].view(np.uint8), q.astype(np.int8).view(np.uint8)], 1)
    return raw.tobytes(), d.astype(np.float32)[:, None] * q


def _q4_0(x):
    b = x.reshape(-1, 32)
    d = _f16(np.abs(b).max(1) / 7)
    q = np.clip(np.rint(b / np.maximum(d.astype(np.float32), 1e-30)[:, None]) + 8, 0, 15)
    raw = np.concatenate([d[:, None].view(np.uint8), _nibbles(q.astype(np.uint8))], 1)
    return raw.tobytes(), d.astype(np.float32)[:, None] * (q - 8)


def _q4_1(x):
    b = x.reshape(-1, 32)
    m = _f16(b.min(1))
    d = _f16((b.max(1) - b.min(1)) / 15)
    q = np.clip(np.rint((b - m.astype(np.float32)[:, None]) /
                        np.maximum(d.astype(np.float32), 1e-30)[:, None]), 0, 15)
    raw = np.concatenate([d[:, None].view(np.uint8), m[:, None].view(np.uint8),
                          _nibbles(q.astype(np.uint8))], 1)
    return raw.tobytes(), d.astype(np.float32)[:, None] * q + m.astype(np.float32)[:, None]


def _high_bits(q):
    return (((q >> 4) & 1).astype(np.uint64) << np.arange(32, dtype=np.uint64)).sum(1) \
        .astype(np.uint32)[:, None].view(np.uint8)


def _q5_0(x):
    b = x.reshape(-1, 32)
    d = _f16(np.abs(b).max(1) / 15)
    q = np.clip(np.rint(b / np.maximum(d.astype(np.float32), 1e-30)[:, None]) + 16, 0, 31)
    q = q.astype(np.uint8)
    raw = np.concatenate([d[:, None].view(np.uint8), _high_bits(q), _nibbles(q & 15)], 1)
    return raw.tobytes(), d.astype(np.float32)[:, None] * (q.astype(np.float32) - 16)


def _q5_1(x):
    b = x.reshape(-1, 32)
    m = _f16(b.min(1))
    d = _f16((b.max(1) - b.min(1)) / 31)
    q = np.clip(np.rint((b - m.astype(np.float32)[:, None]) /
                        np.maximum(d.astype(np.float32), 1e-30)[:, None]), 0, 31).astype(np.uint8)
    raw = np.concatenate([d[:, None].view(np.uint8), m[:, None].view(np.uint8), _high_bits(q),
                          _nibbles(q & 15)], 1)
    return raw.tobytes(), d.astype(np.float32)[:, None] * q + m.astype(np.float32)[:, None]


def _iq4_nl(x):
    b = x.reshape(-1, 32)
    d = _f16(np.abs(b).max(1) / 127)
    scaled = b / np.maximum(d.astype(np.float32), 1e-30)[:, None]
    q = np.abs(scaled[:, :, None] - IQ4_NL_VALUES).argmin(2).astype(np.uint8)
    raw = np.concatenate([d[:, None].view(np.uint8), _nibbles(q)], 1)
    return raw.tobytes(), d.astype(np.float32)[:, None] * IQ4_NL_VALUES[q]


def _scale_mins(sc, mn):
    """Q4_K's and Q5_K's twelve bytes: eight 6-bit scales, eight 6-bit minima."""
    out = np.zeros((sc.shape[0], 12), np.uint8)
    out[:, 0:4] = (sc[:, 0:4] & 63) | ((sc[:, 4:8] >> 4) << 6)
    out[:, 4:8] = (mn[:, 0:4] & 63) | ((mn[:, 4:8] >> 4) << 6)
    out[:, 8:12] = (sc[:, 4:8] & 15) | ((mn[:, 4:8] & 15) << 4)
    return out


def _qk(x, levels):
    b = x.reshape(-1, 8, 32)
    low = np.minimum(b.min(2), 0)
    span = (b.max(2) - low) / levels
    d = _f16(span.max(1) / 63)
    dmin = _f16((-low).max(1) / 63)
    df, mf = d.astype(np.float32), dmin.astype(np.float32)
    sc = np.clip(np.rint(span / np.maximum(df, 1e-30)[:, None]), 0, 63).astype(np.uint8)
    mn = np.clip(np.rint(-low / np.maximum(mf, 1e-30)[:, None]), 0, 63).astype(np.uint8)
    step = df[:, None] * sc
    base = mf[:, None] * mn
    q = np.clip(np.rint((b + base[:, :, None]) / np.maximum(step, 1e-30)[:, :, None]), 0, levels)
    q = q.astype(np.uint8)
    return d, dmin, sc, mn, q, step[:, :, None] * q - base[:, :, None]


def _q4_k(x):
    d, dmin, sc, mn, q, value = _qk(x, 15)
    pairs = (q[:, 0::2] | (q[:, 1::2] << 4)).reshape(-1, 128)
    raw = np.concatenate([d[:, None].view(np.uint8), dmin[:, None].view(np.uint8),
                          _scale_mins(sc, mn), pairs], 1)
    return raw.tobytes(), value


def _q5_k(x):
    d, dmin, sc, mn, q, value = _qk(x, 31)
    low = q & 15
    pairs = (low[:, 0::2] | (low[:, 1::2] << 4)).reshape(-1, 128)
    high = np.zeros((q.shape[0], 32), np.uint8)
    for group in range(8):
        high |= (q[:, group] >> 4) << group
    raw = np.concatenate([d[:, None].view(np.uint8), dmin[:, None].view(np.uint8),
                          _scale_mins(sc, mn), high, pairs], 1)
    return raw.tobytes(), value


def _q6_k(x):
    b = x.reshape(-1, 16, 16)
    scale = np.abs(b).max(2) / 31
    d = _f16(scale.max(1) / 127)
    df = d.astype(np.float32)
    sc = np.clip(np.rint(scale / np.maximum(df, 1e-30)[:, None]), -128, 127).astype(np.int8)
    step = df[:, None] * sc
    q = np.clip(np.rint(b / np.maximum(np.abs(step), 1e-30)[:, :, None]) + 32, 0, 63)
    value = step[:, :, None] * (q - 32)
    q = q.astype(np.uint8).reshape(-1, 2, 4, 32)  # [half of 128, quarter, element]
    low = np.stack([(q[:, :, 0] & 15) | ((q[:, :, 2] & 15) << 4),
                    (q[:, :, 1] & 15) | ((q[:, :, 3] & 15) << 4)], 2).reshape(-1, 128)
    high = ((q[:, :, 0] >> 4) | ((q[:, :, 1] >> 4) << 2) | ((q[:, :, 2] >> 4) << 4) |
            ((q[:, :, 3] >> 4) << 6)).reshape(-1, 64)
    raw = np.concatenate([low, high, sc.view(np.uint8), d[:, None].view(np.uint8)], 1)
    return raw.tobytes(), value


QUANTISERS = {F32: _f32, F16: _half, BF16: _bf16, Q8_0: _q8_0, Q4_0: _q4_0, Q4_1: _q4_1,
              Q5_0: _q5_0, Q5_1: _q5_1, IQ4_NL: _iq4_nl, Q4_K: _q4_k, Q5_K: _q5_k, Q6_K: _q6_k}


def quantise(x, kind):
    """(bytes, the values those bytes stand for)."""
    raw, value = QUANTISERS[kind](np.ascontiguousarray(x, np.float32))
    return raw, np.asarray(value, np.float32).reshape(x.shape)


def _string(text):
    data = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(data)) + data


def _value(value):
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<Ii" if value < 0 else "<II", 5 if value < 0 else 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + _string(value)
    if isinstance(value[0], str):
        return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(_string(v) for v in value)
    if isinstance(value[0], float):
        return struct.pack("<IIQ", 9, 6, len(value)) + struct.pack(f"<{len(value)}f", *value)
    return struct.pack("<IIQ", 9, 5, len(value)) + struct.pack(f"<{len(value)}i", *value)


def write_gguf(path, metadata, tensors):
    """tensors: [(name, shape in NumPy order, type, bytes)]."""
    head = struct.pack("<IIQQ", 0x46554747, 3, len(tensors), len(metadata))
    for key, value in metadata.items():
        head += _string(key) + _value(value)
    offset = 0
    for name, shape, kind, raw in tensors:
        dims = list(reversed(shape))
        head += _string(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)
        offset = (offset + len(raw) + 31) // 32 * 32
    with open(path, "wb") as file:
        file.write(head + b"\0" * (-len(head) % 32))
        for _, _, _, raw in tensors:
            file.write(raw + b"\0" * (-len(raw) % 32))
