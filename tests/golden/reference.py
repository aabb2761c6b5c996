"""A float32 forward pass of llama-like models in NumPy: the reference that golden logits come from.
Sums are float64 inside NumPy's matrix products where it matters little; tolerances are measured.
"""
import numpy as np


def rms_norm(x, weight, epsilon):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + epsilon) * weight


def rotate(x, cos, sin, interleaved):
    """x [tokens, heads, head_dim]; cos, sin [tokens, pairs]."""
    pairs = cos.shape[1]
    out = x.copy()
    a, b = (slice(0, 2 * pairs, 2), slice(1, 2 * pairs, 2)) if interleaved else \
        (slice(0, pairs), slice(pairs, 2 * pairs))
    out[..., a] = x[..., a] * cos[:, None] - x[..., b] * sin[:, None]
    out[..., b] = x[..., a] * sin[:, None] + x[..., b] * cos[:, None]
    return out


def rope_frequencies(config):
    """[pairs] radians per position, and the factor on cosine and sine."""
    dims, base = config["rope_dims"], config["rope_base"]
    frequency = base ** (-np.arange(0, dims, 2, dtype=np.float64) / dims)
    scaling = config.get("rope_scaling") or {"type": "none"}
    kind, factor = scaling["type"], scaling.get("factor", 1.0)
    if kind == "linear":
        return frequency / factor, 1.0
    if kind == "llama3":
        old = scaling["original"]
        low, high = scaling["low"], scaling["high"]
        wave = 2 * np.pi / frequency
        smooth = (old / wave - low) / (high - low)
        middle = (1 - smooth) * frequency / factor + smooth * frequency
        frequency = np.where(wave < old / high, frequency,
                             np.where(wave > old / low, frequency / factor, middle))
        return frequency, 1.0
    if kind == "yarn":
        old = scaling["original"]

        def correction(rotations):
            return dims * np.log(old / (rotations * 2 * np.pi)) / (2 * np.log(base))
        low = max(np.floor(correction(scaling.get("beta_fast", 32))), 0)
        high = min(np.ceil(correction(scaling.get("beta_slow", 1))), dims - 1)
        ramp = np.clip((np.arange(dims // 2) - low) / max(high - low, 0.001), 0, 1)
        return frequency / factor * ramp + frequency * (1 - ramp), 0.1 * np.log(factor) + 1
    return frequency, 1.0


def forward(config, weights, tokens):
    """Logits [tokens, vocabulary], teacher-forced."""
    heads, kv_heads, head_dim = config["heads"], config["kv_heads"], config["head_dim"]
    epsilon = config["epsilon"]
    count = len(tokens)
    frequency, factor = rope_frequencies(config)
    angle = np.arange(count)[:, None] * frequency[None]
    cos = (np.cos(angle) * factor).astype(np.float32)
    sin = (np.sin(angle) * factor).astype(np.float32)
    mask = np.triu(np.full((count, count), -np.inf, np.float32), 1)
    x = weights["embedding"][tokens].astype(np.float32)
    for layer in weights["layers"]:
        h = rms_norm(x, layer["attention_norm"], epsilon)
        q, k, v = h @ layer["query"].T, h @ layer["key"].T, h @ layer["value"].T
        if "query_bias" in layer:
            q, k, v = q + layer["query_bias"], k + layer["key_bias"], v + layer["value_bias"]
        q = q.reshape(count, heads, head_dim)
        k = k.reshape(count, kv_heads, head_dim)
        v = v.reshape(count, kv_heads, head_dim)
        if "query_norm" in layer:
            q = rms_norm(q, layer["query_norm"], epsilon)
            k = rms_norm(k, layer["key_norm"], epsilon)
        q = rotate(q, cos, sin, config["interleaved"])
        k = rotate(k, cos, sin, config["interleaved"])
        out = np.empty((count, heads, head_dim), np.float32)
        for head in range(heads):
            group = head * kv_heads // heads
            score = q[:, head] @ k[:, group].T / np.sqrt(np.float32(head_dim)) + mask
            weight = np.exp(score - score.max(1, keepdims=True))
            out[:, head] = weight / weight.sum(1, keepdims=True) @ v[:, group]
        x = x + out.reshape(count, -1) @ layer["attention_output"].T
        h = rms_norm(x, layer["feed_forward_norm"], epsilon)
        gate, up = h @ layer["gate"].T, h @ layer["up"].T
        x = x + (gate / (1 + np.exp(-gate)) * up) @ layer["down"].T
    x = rms_norm(x, weights["output_norm"], epsilon)
    return (x @ weights.get("output", weights["embedding"]).T).astype(np.float32)
