#!/usr/bin/env python3
"""Writes a tokenizer's vocabulary in the compact text form that tests/text/vocabulary.h reads.

    make_vocab.py (FILE.gguf | tokenizer.json PRE) OUT.vocab [--only TEXT]

--only keeps, under their own ids, the tokens and merges that can take part in encoding the cases of
TEXT (separated by __ggml_vocab_test__), whichever way they are cut into pieces.
"""

import json
import struct
import sys


def read_gguf(path):
    data = open(path, "rb").read()
    at = 0
    plain = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q",
             12: "d"}

    def number(code):
        nonlocal at
        value = struct.unpack_from("<" + code, data, at)[0]
        at += struct.calcsize("<" + code)
        return value

    def text():
        nonlocal at
        count = number("Q")
        at += count
        return data[at - count:at].decode()

    def value(kind):
        if kind == 8:
            return text()
        if kind == 9:
            element, count = number("I"), number("Q")
            return [value(element) for _ in range(count)]
        return number(plain[kind])

    at = 16
    keys = {}
    for _ in range(number("Q")):
        key = text()
        keys[key] = value(number("I"))
    get = lambda name, default=None: keys.get("tokenizer.ggml." + name, default)
    return {"model": get("model"), "pre": get("pre"), "tokens": get("tokens"),
            "types": get("token_type"), "merges": get("merges", []), "scores": get("scores", []),
            "bos": get("bos_token_id"), "eos": get("eos_token_id"),
            "unknown": get("unknown_token_id"), "add_bos": get("add_bos_token", False),
            "ignore_merges": get("pre") == "llama-bpe", "nfc": get("pre") == "qwen2"}


def read_json(path, pre):
    source = json.load(open(path))
    model = source["model"]
    count = max(max(model["vocab"].values()), max(t["id"] for t in source["added_tokens"])) + 1
    tokens, types = [f"[PAD{i}]" for i in range(count)], [5] * count
    for spelling, token in model["vocab"].items():
        tokens[token], types[token] = spelling, 1
    for added in source["added_tokens"]:
        tokens[added["id"]] = added["content"]
        types[added["id"]] = 3 if added["special"] else 4
    merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
    return {"model": "gpt2", "pre": pre, "tokens": tokens, "types": types, "merges": merges,
            "scores": [], "bos": None, "eos": None, "unknown": None, "add_bos": False,
            "ignore_merges": model.get("ignore_merges", False), "nfc": pre == "qwen2"}


def byte_alphabet():
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    other = [b for b in range(256) if b not in printable]
    return {**{b: chr(b) for b in printable}, **{b: chr(256 + i) for i, b in enumerate(other)}}


def keep_only(vocabulary, path):
    alphabet = byte_alphabet()
    cases = open(path, encoding="utf8", newline="").read().split("\n__ggml_vocab_test__\n")
    inside = set(alphabet.values())
    for case in cases:
        spelled = "".join(alphabet[b] for b in case.encode())
        inside.update(spelled[i:i + n] for i in range(len(spelled)) for n in range(1, 65))
    tokens = vocabulary["tokens"]
    kept = [t in inside or kind in (3, 4) for t, kind in zip(tokens, vocabulary["types"])]
    vocabulary["types"] = [k if keep else 5 for k, keep in zip(vocabulary["types"], kept)]
    vocabulary["tokens"] = [t if keep else "" for t, keep in zip(tokens, kept)]
    vocabulary["merges"] = [m for m in vocabulary["merges"]
                            if all(x in inside for x in (*m.split(" "), m.replace(" ", "")))]


def escape(text):
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


def runs(values):
    out, i = [], 0
    while i < len(values):
        j = i
        while j < len(values) and values[j] == values[i]:
            j += 1
        out.append((values[i], j - i))
        i = j
    return out


def write(vocabulary, path):
    tokens = vocabulary["tokens"]
    lines = ["thaw-vocabulary 1"]
    for key in ("model", "pre", "bos", "eos", "unknown"):
        if vocabulary[key] is not None:
            lines.append(f"{key} {vocabulary[key]}")
    for key in ("add_bos", "ignore_merges", "nfc", "add_space_prefix"):
        if vocabulary.get(key):
            lines.append(f"{key} 1")
    lines.append("types " + " ".join(f"{kind}*{count}" for kind, count in runs(vocabulary["types"])))
    lines.append(f"tokens {len(tokens)}")
    for spelling, count in runs(tokens):
        lines.append(escape(spelling) if spelling else f"\\0{count}")
    if vocabulary["scores"]:
        lines.append("scores")
        lines.extend(repr(score) for score in vocabulary["scores"])
    ids = {spelling: i for i, spelling in enumerate(tokens)}
    merged = [ids[m.replace(" ", "")] for m in vocabulary["merges"]]
    halves = [m.index(" ", 1) for m in vocabulary["merges"]]
    in_order = merged and merged == list(range(merged[0], merged[0] + len(merged)))
    if in_order and max(halves) < 0x7F - ord("0"):
        # Merge k gives token first + k, so the length of its left half tells all.
        lines.append(f"splits {merged[0]}")
        splits = "".join(chr(ord("0") + half) for half in halves)
        lines.extend(splits[i:i + 100] for i in range(0, len(splits), 100))
    elif merged:
        lines.append("merges")
        lines.extend(vocabulary["merges"])
    open(path, "w", encoding="utf8", newline="").write("\n".join(lines) + "\n")


def main():
    arguments = sys.argv[1:]
    only = None
    if "--only" in arguments:
        only = arguments[arguments.index("--only") + 1]
        arguments = arguments[:arguments.index("--only")]
    source = read_gguf(arguments[0]) if len(arguments) == 2 else read_json(*arguments[:2])
    if only:
        keep_only(source, only)
    write(source, arguments[-1])


main()
