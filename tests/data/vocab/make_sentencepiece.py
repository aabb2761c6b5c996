#!/usr/bin/env python3
"""Trains a small SentencePiece model and writes sentencepiece.vocab, .inp and .out beside this file.

Needs PyPI's sentencepiece (0.2.x). The model is like Llama 2's: BPE, byte fallback, no
normalisation, a space before the text.
"""

import pathlib
import random
import tempfile

import sentencepiece

WORDS = ("the of and to in is that it was for on are as with his they at be this from have or by "
         "one had not but what all were when we there can an your which their said if do will each "
         "about how up out them then she many some so these would other into has more her two like "
         "him see time could no make than first been its who now people my made over did down only "
         "way find use may water long little very after words called just where most know").split()
OTHERS = ["Größe", "naïve", "été", "привет", "мир", "日本", "東京", "안녕", "😀", "a_b", "x=1;", "{\n", "}\n\n",
          "\t\tif", "don't", "3.14", "    ", "  ", "==", "//", "->"]


def corpus(generator):
    for _ in range(3000):
        yield " ".join(generator.choice(WORDS if generator.random() < 0.8 else OTHERS)
                       for _ in range(generator.randrange(3, 12)))


def cases(generator):
    yield from ["", " ", "  ", "\n", "a", " a", "a ", "hello world", "Hello, wörld!", "\t\n\r", "日本語",
                "😀😃", "\u2581x", "x\u2581\u2581y", "e\u0301", "\u0000\u0001", "the  the   the",
                "0123456789", "<s>", "</s>", "<unk>", "<0x41>"]
    for _ in range(150):
        parts = []
        for _ in range(generator.randrange(1, 12)):
            kind = generator.random()
            if kind < 0.4:
                parts.append(generator.choice(WORDS))
            elif kind < 0.6:
                parts.append(generator.choice(OTHERS))
            elif kind < 0.8:
                parts.append(" " * generator.randrange(1, 5))
            else:
                parts.append(chr(generator.choice([generator.randrange(33, 127),
                                                   generator.randrange(0xA0, 0x2000),
                                                   generator.randrange(0x3000, 0xD7FF),
                                                   generator.randrange(0x1F300, 0x1F600)])))
        yield "".join(parts)


def main():
    folder = pathlib.Path(__file__).parent
    with tempfile.TemporaryDirectory() as scratch:
        text = pathlib.Path(scratch, "text")
        text.write_text("\n".join(line.replace("\n", " ") for line in corpus(random.Random(1))))
        sentencepiece.SentencePieceTrainer.train(
            input=str(text), model_prefix=f"{scratch}/m", vocab_size=700, model_type="bpe",
            byte_fallback=True, normalization_rule_name="identity", add_dummy_prefix=True,
            remove_extra_whitespaces=False, split_digits=True, character_coverage=0.99,
            allow_whitespace_only_pieces=True, unk_id=0, bos_id=1, eos_id=2, pad_id=-1,
            minloglevel=2)
        model = sentencepiece.SentencePieceProcessor(model_file=f"{scratch}/m.model")
    kinds, lines = [], []
    for token in range(model.vocab_size()):
        kinds.append(2 if model.is_unknown(token) else 3 if model.is_control(token) else
                     6 if model.is_byte(token) else 1)
        lines.append(model.id_to_piece(token).replace("\\", "\\\\").replace("\n", "\\n"))
    head = ["thaw-vocabulary 1", "model llama", "pre default", "bos 1", "eos 2", "unknown 0",
            "add_bos 1", "add_space_prefix 1", "types " + " ".join(f"{kind}*1" for kind in kinds),
            f"tokens {len(lines)}"]
    scores = ["scores"] + [f"{model.get_score(token):.9g}" for token in range(len(lines))]
    (folder / "sentencepiece.vocab").write_text("\n".join(head + lines + scores) + "\n")
    texts = list(cases(random.Random(2)))
    between = "\n__ggml_vocab_test__\n"
    (folder / "sentencepiece.inp").write_bytes("".join(t + between for t in texts).encode())
    (folder / "sentencepiece.out").write_text(
        "".join("".join(f" {token}" for token in model.encode(t)) + "\n" for t in texts))


main()
