"""Speed beside llama.cpp: prefill and decode of the same GGUF files, in turn, medians and ratios.

  python3 bench/peers.py --llama FOLDER [--rounds 3] [--threads 2] MODEL.gguf ...

FOLDER holds llama-bench. Prints a Markdown table; --json and --svg write files. Each round runs
every model with both engines, one after the other; nothing is left out. THAW_KERNELS chooses our
instruction set; for llama.cpp built with another one name its folder. Without --llama our side
alone is measured. Needs Python alone.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

PROMPTS = (256, 512)


def run(command):
    """What a program printed, and the most memory it had, in MB."""
    with tempfile.TemporaryFile() as out:
        child = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        if status != 0:
            sys.exit(f"peers: '{' '.join(command)}' ended with {status}")
        out.seek(0)
        return out.read().decode(), usage.ru_maxrss / 1024


def ours(args, snapshot):
    figures = {}
    for prompt in PROMPTS if not args.smoke else (16,):
        text, _ = run([args.thaw, "bench", snapshot, "--prompt", str(prompt), "--generate",
                            str(args.generate), "--rounds", "1", "--threads", str(args.threads),
                            "--json"])
        told = json.loads(text)
        figures[f"prefill {prompt}"] = told["prefill_tokens_per_s"]
        figures[f"peak {prompt}"] = told["prefill_integer_fraction"]
        figures["decode"] = told["decode_tokens_per_s"]
        figures["bandwidth"] = told["decode_read_fraction"]
    # `thaw bench` reads a buffer of its own; what a function takes is what an answer takes.
    _, figures["memory"] = run([args.thaw, "run", snapshot, "Hello", "-n", "4"])
    return figures


def theirs(args, model):
    command = [os.path.join(args.llama, "llama-bench"), "-m", model, "-t", str(args.threads), "-r",
               "1", "-n", str(args.generate), "-o", "json"]
    for prompt in PROMPTS:
        command += ["-p", str(prompt)]
    text, memory = run(command)
    figures = {"memory": memory}
    for test in json.loads(text):
        name = "decode" if test["n_gen"] else f"prefill {test['n_prompt']}"
        figures[name] = test["avg_ts"]
    return figures


def freeze(args, model, folder):
    name = os.path.basename(model).removesuffix(".gguf")
    snapshot = os.path.join(folder, name + ".thaw")
    if not os.path.exists(snapshot) or os.path.getmtime(snapshot) < os.path.getmtime(args.thaw):
        run([args.thaw, "freeze", model, "-o", snapshot])
    return name, snapshot


def median(rounds, name):
    values = [figures[name] for figures in rounds if name in figures]
    return statistics.median(values) if values else None


def table(results):
    names = [name for name in results[0]["ours"][0] if name.startswith("prefill")] + ["decode"]
    print("| model | what | thaw, tokens/s | of its roof | llama.cpp | ratio | ratios of rounds |")
    print("|---|---|---|---|---|---|---|")
    for result in results:
        for name in names:
            mine, other = median(result["ours"], name), median(result["theirs"], name)
            roof = "bandwidth" if name == "decode" else "peak" + name.removeprefix("prefill")
            ratios = [a[name] / b[name] for a, b in zip(result["ours"], result["theirs"])]
            share = median(result["ours"], roof)
            line = f"| {result['model']} | {name} | {mine:.1f} | {share:.2f} |"
            if other:
                line += (f" {other:.1f} | {mine / other:.2f} |"
                         f" {min(ratios):.2f}-{max(ratios):.2f} |")
            print(line if other else line + " | | |")
        memory = [median(result[side], "memory") for side in ("ours", "theirs")]
        print(f"| {result['model']} | memory, MB | {memory[0]:.0f} | |"
              f" {'' if memory[1] is None else format(memory[1], '.0f')} | | |")


def svg(results, path):
    rows = [(f"{result['model']}, {name}", median(result["ours"], name),
             median(result["theirs"], name))
            for result in results for name in result["ours"][0]
            if name.startswith("prefill") or name == "decode"]
    out = ['<svg xmlns="http://www.w3.org/2000/svg" width="900" font-family="sans-serif" '
           f'font-size="12" height="{30 + 40 * len(rows)}">',
           '<rect width="100%" height="100%" fill="white"/>',
           '<text x="20" y="18">tokens per second: thaw blue, llama.cpp grey</text>']
    for i, (name, mine, other) in enumerate(rows):
        y, scale = 30 + 40 * i, 400 / max(mine, other or 0)
        out.append(f'<text x="330" y="{y + 16}" text-anchor="end">{name}</text>')
        for at, value, fill in ((y, mine, "#2980b9"), (y + 15, other, "#95a5a6")):
            if value is None:
                continue
            out.append(f'<rect x="340" y="{at}" width="{value * scale:.1f}" height="13" '
                       f'fill="{fill}"/><text x="{345 + value * scale:.1f}" y="{at + 11}">'
                       f'{value:.1f}</text>')
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(out + ["</svg>", ""]))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--thaw", default="build/release/thaw")
    parser.add_argument("--llama", help="the folder of llama-bench")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--generate", type=int, default=32)
    parser.add_argument("--work", default="build/peers", help="where snapshots are kept")
    parser.add_argument("--json")
    parser.add_argument("--svg")
    parser.add_argument("--smoke", action="store_true", help="structure, not times")
    args = parser.parse_args()

    os.makedirs(args.work, exist_ok=True)
    frozen = [(model, *freeze(args, model, args.work)) for model in args.models]
    results = [{"model": name, "ours": [], "theirs": []} for _, name, _ in frozen]
    for turn in range(args.rounds):
        for (model, name, snapshot), result in zip(frozen, results):
            result["ours"].append(ours(args, snapshot))
            if args.llama:
                result["theirs"].append(theirs(args, model))
            told = ", ".join(f"{side} {figures[-1]['decode']:.1f}"
                             for side, figures in (("thaw", result["ours"]),
                                                   ("llama.cpp", result["theirs"])) if figures)
            print(f"round {turn + 1} of {args.rounds}, {name}: decode {told} tokens/s",
                  file=sys.stderr)
    table(results)
    if args.smoke and not all(value > 0 for value in results[0]["ours"][0].values()):
        sys.exit("peers: a figure is missing")
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)
    if args.svg:
        svg(results, args.svg)


if __name__ == "__main__":
    main()
