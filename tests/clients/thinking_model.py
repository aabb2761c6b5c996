"""Makes a model that thinks of a golden one: thinking_model.py SOURCE FOLDER.

Its template opens <think>, and one token is </think>. Prints fields
of requests, with which it thinks for a while and then answers: its weights are random, and alone
would repeat one token.
"""

import json
import pathlib
import shutil
import sys

END = "</think>"
END_BIAS = 8  # so that it comes after a few tokens with the seed that clients use
REPETITION_PENALTY = 2.5
NEW_LINE = "\u010a"  # in the byte-level alphabet


def main(source, folder):
    shutil.copytree(source, folder, dirs_exist_ok=True)
    tokenizer_path = folder / "tokenizer.json"
    tokenizer = json.loads(tokenizer_path.read_text())
    (end,) = [t for t in tokenizer["added_tokens"] if t["content"] == "<|endoftext|>"]
    end.update(content=END, special=False)
    tokenizer_path.write_text(json.dumps(tokenizer))
    config_path = folder / "tokenizer_config.json"
    config = json.loads(config_path.read_text())
    config["bos_token"] = None
    begin = "<|im_start|>assistant\n"
    config["chat_template"] = config["chat_template"].replace(begin, begin + "<think>\n")
    assert "<think>" in config["chat_template"]
    config_path.write_text(json.dumps(config))
    generation_path = folder / "generation_config.json"
    ends = [t["id"] for t in tokenizer["added_tokens"] if t["content"] == "<|im_end|>"]
    for path in (config_path.with_name("config.json"), generation_path):
        settings = json.loads(path.read_text())
        settings["eos_token_id"] = ends[0]
        path.write_text(json.dumps(settings))
    vocabulary = tokenizer["model"]["vocab"]
    never = [vocabulary[NEW_LINE], *(t["id"] for t in tokenizer["added_tokens"] if t != end)]
    bias = {end["id"]: END_BIAS, **{each: -100 for each in never}}
    print(json.dumps({"logit_bias": bias, "repetition_penalty": REPETITION_PENALTY}))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
