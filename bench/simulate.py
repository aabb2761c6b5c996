"""Does `thaw simulate` say what `thaw emulate` then does?

    python3 bench/simulate.py MODEL.gguf [--arrivals 240] [--rate 1.2] [--seed 1 2 3]
    python3 bench/simulate.py MODEL.gguf --trace AzureLLMInferenceTrace_code.csv --stretch 10

The emulator replays a trace, real bootstraps behind it: Poisson arrivals with prompts and answers
of many lengths, or the arrivals of a recorded one. The replay is cut into parts, and between them,
while its clock stands still, other invocations of another emulator are measured: cold starts, and
warm ones of many shapes, after a pause as the trace's are. Of those the phases are fitted. The
simulator is fed with the phases and with the trace's arrivals and tokens, and predicts its p50, p95
and cost; the errors are printed, and kept in PROMISES.md. One thread an instance.
"""
import argparse
import csv
import datetime
import http.client
import json
import math
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MEMORY_MB = 1769  # a whole vCPU on Lambda
PROMPT_WORDS, ANSWER_TOKENS = (4, 60), (1, 16)  # least and most, of the trace and of the probes
PAUSE_S = 0.25  # before a probe, on average: the machine has done something else since the last
CONCURRENCY = 10
WORDS = "river stone light quiet morning letter garden window yellow paper seven".split()


class Emulator:
    def __init__(self, thaw, snapshot, folder, concurrency):
        self.log_path = os.path.join(folder, "emulator.log")
        self.log = open(self.log_path, "w")
        self.process = subprocess.Popen(
            [thaw, "emulate", snapshot, "--port", "0", "--memory", str(MEMORY_MB), "--concurrency",
             str(concurrency), "--state", os.path.join(folder, "state")],
            stderr=self.log, env=dict(os.environ, THAW_THREADS="1"))
        self.port = None
        for _ in range(500):
            found = re.search(r"http://127\.0\.0\.1:(\d+)", open(self.log_path).read())
            if found:
                self.port = int(found.group(1))
                break
            time.sleep(0.01)
        if self.port is None:
            sys.exit("simulate.py: the emulator did not start: " + open(self.log_path).read())
        self.name = os.path.basename(snapshot).removesuffix(".thaw")

    def invoke(self, prompt, max_tokens):
        """Seconds, prompt tokens and answered tokens; None where it was refused."""
        event = json.dumps({"prompt": prompt, "max_tokens": max_tokens, "temperature": 0})
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request("POST", f"/2015-03-31/functions/{self.name}/invocations", event)
        answer = connection.getresponse()
        body = answer.read()
        seconds = time.monotonic() - began
        connection.close()
        if answer.status != 200:
            return None
        usage = json.loads(body)["usage"]
        prompt_tokens = usage["prompt_tokens"] - usage.get("cached_tokens", 0)
        return seconds, prompt_tokens, usage["completion_tokens"]

    def stop(self):
        """Milliseconds billed, of each invocation."""
        self.process.terminate()
        self.process.wait()
        self.log.close()
        log = open(self.log_path).read()
        return [int(ms) for ms in re.findall(r"Billed Duration: (\d+) ms", log)]


def prompt_of(generator, words):
    return " ".join(generator.choice(WORDS) for _ in range(words))


def shape_of(generator):
    """A prompt and the most tokens that its answer may have."""
    return (prompt_of(generator, generator.randint(*PROMPT_WORDS)),
            generator.randint(*ANSWER_TOKENS))


def measure(options, snapshot, folder, generator, seen):
    """Adds what separate invocations took: a cold start, and warm ones of many shapes."""
    emulator = Emulator(options.thaw, snapshot, folder, 1)
    prompt = prompt_of(generator, PROMPT_WORDS[0])
    cold = emulator.invoke(prompt, 1)
    seen["start"].append(cold[0] - emulator.invoke(prompt, 1)[0])
    for _ in range(options.probes):
        time.sleep(generator.uniform(0, 2 * PAUSE_S))
        seen["warm"].append(emulator.invoke(*shape_of(generator)))
    emulator.stop()


def solve(rows, values, weights):
    """Weighted least squares by the normal equations: a few unknowns, well apart."""
    n = len(rows[0])
    matrix = [[sum(w * r[i] * r[j] for r, w in zip(rows, weights)) for j in range(n)] +
              [sum(w * r[i] * v for r, v, w in zip(rows, values, weights))] for i in range(n)]
    for i in range(n):
        pivot = max(range(i, n), key=lambda row: abs(matrix[row][i]))
        matrix[i], matrix[pivot] = matrix[pivot], matrix[i]
        for other in range(n):
            if other != i:
                factor = matrix[other][i] / matrix[i][i]
                matrix[other] = [a - factor * b for a, b in zip(matrix[other], matrix[i])]
    return [matrix[i][n] / matrix[i][i] for i in range(n)]


def phases_of(seen):
    """The phases that `thaw simulate --measured` reads: seconds = overhead + prompt / prefill rate
    + decoded / decode rate, fitted so that relative errors count alike, with little weight for
    those that are far off (Huber's, at twice the middle one)."""
    warm = [one for one in seen["warm"] if one is not None]
    rows = [(1.0, prompt, max(0, answered - 1)) for _, prompt, answered in warm]
    times = [seconds for seconds, _, _ in warm]
    weights = [1 / t ** 2 for t in times]
    for _ in range(20):
        fitted = solve(rows, times, weights)
        predicted = [sum(f * x for f, x in zip(fitted, row)) for row in rows]
        errors = [abs(t / p - 1) for t, p in zip(times, predicted)]
        limit = 2 * statistics.median(errors) + 1e-9
        weights = [min(1.0, limit / max(e, 1e-12)) / p ** 2 for e, p in zip(errors, predicted)]
    overhead, a_token, decoded = (max(1e-8, value) for value in fitted)
    ratios = sorted(t / p for t, p in zip(times, predicted))
    return {"start_ms": max(0, statistics.median(seen["start"]) * 1e3),
            "overhead_ms": overhead * 1e3, "prefill_tokens_per_s": 1 / a_token,
            "decode_tokens_per_s": 1 / decoded, "vcpus": 1}, ratios


def poisson(options, generator):
    """When, what is asked, and how long the answer may be."""
    plan, at = [], 0.0
    for _ in range(options.arrivals):
        at += generator.expovariate(options.rate)
        plan.append((at, *shape_of(generator)))
    return plan


def recorded(options, generator):
    """The first arrivals of one of Azure's traces of language models, slower, with shorter prompts
    and answers, since one thread of a small model answers: order and proportions stay."""
    with open(options.trace) as file:
        rows = list(csv.DictReader(file))[:options.arrivals]
    if not rows:
        sys.exit(f"simulate.py: '{options.trace}': found no rows")
    when = [datetime.datetime.fromisoformat(row["TIMESTAMP"][:26]) for row in rows]
    words = max(int(row["ContextTokens"]) for row in rows) / PROMPT_WORDS[1]
    plan, stood = [], 0.0
    for i, row in enumerate(rows):
        if i > 0:  # a longer silence says nothing that a shorter one does not
            gap = (when[i] - when[i - 1]).total_seconds() * options.stretch
            stood += min(gap, options.silence)
        count = max(PROMPT_WORDS[0], round(int(row["ContextTokens"]) / words))
        answer = min(ANSWER_TOKENS[1], int(row["GeneratedTokens"]))
        plan.append((stood, prompt_of(generator, count), answer))
    return plan


def replay(emulator, part, since, seen):
    """Adds what each arrival saw: (at, prompt tokens, answered tokens, seconds), its clock
    beginning at `since`."""
    threads, lock = [], threading.Lock()
    began = time.monotonic() - since

    def ask(at, prompt, max_tokens):
        answer = emulator.invoke(prompt, max_tokens)
        if answer is None:
            os._exit(refused())
        seconds, tokens, answered = answer
        with lock:
            seen.append((at, tokens, answered, seconds))

    for at, prompt, max_tokens in part:
        time.sleep(max(0.0, began + at - time.monotonic()))
        threads.append(threading.Thread(target=ask, args=(at, prompt, max_tokens)))
        threads[-1].start()
    for thread in threads:
        thread.join()


def refused():
    print(f"simulate.py: the emulator refused an invocation: more than {CONCURRENCY} at a time; "
          "lower --rate, or run it where nothing halts it", file=sys.stderr, flush=True)
    return 1


def simulated(options, folder, seen, phases):
    """What the simulator says of the arrivals that were seen."""
    trace, measured = os.path.join(folder, "trace.csv"), os.path.join(folder, "phases.json")
    with open(trace, "w") as file:
        file.write("at,prompt_tokens,output_tokens\n")
        file.writelines(f"{at:.6f},{tokens},{answered}\n" for at, tokens, answered, _ in seen)
    with open(measured, "w") as file:
        json.dump(phases, file)
    run = subprocess.run([options.thaw, "simulate", trace, "--measured", measured, "--memory",
                          str(MEMORY_MB), "--concurrency", str(CONCURRENCY), "--json"],
                         check=True, capture_output=True, text=True)
    return json.loads(run.stdout)["setups"][0]


def quantile(values, q):
    values = sorted(values)
    return values[max(1, math.ceil(q * len(values))) - 1]


def compare(options, snapshot, folder, seed):
    """Prints the errors of one replay; the largest."""
    generator, probes = random.Random(seed), random.Random(1000 + seed)
    plan = (recorded if options.trace else poisson)(options, generator)
    size = math.ceil(len(plan) / options.parts)
    parts = [plan[i:i + size] for i in range(0, len(plan), size)]
    own, other = os.path.join(folder, f"replay-{seed}"), os.path.join(folder, f"probe-{seed}")
    os.makedirs(own), os.makedirs(other)
    seen, measured = [], {"start": [], "warm": []}
    emulator = Emulator(options.thaw, snapshot, own, CONCURRENCY)
    measure(options, snapshot, other, probes, measured)
    since = 0.0
    for part in parts:
        replay(emulator, part, since, seen)
        since = part[-1][0]
        measure(options, snapshot, other, probes, measured)
    billed = emulator.stop()
    seen.sort()
    phases, ratios = phases_of(measured)
    said = simulated(options, folder, seen, phases)
    if not len(seen) == len(billed) == said["served"] == len(plan):
        sys.exit(f"simulate.py: {len(plan)} arrivals, but {len(seen)} answers, {len(billed)} bills "
                 f"and {said['served']} simulated")
    times = [seconds * 1e3 for *_, seconds in seen]
    cost = (sum(billed) / 1e3 * MEMORY_MB / 1024 * 0.0000166667 + len(billed) * 0.0000002)
    print(f"seed {seed}: {len(seen)} invocations in {since:.0f} s, {said['cold']} cold as "
          f"simulated, at most {said['concurrency_peak']} at a time; {len(ratios)} probes, "
          "measured / fitted at 5, 25, 50, 75, 95 %: "
          + ", ".join(f"{quantile(ratios, q):.2f}" for q in (0.05, 0.25, 0.5, 0.75, 0.95)))
    print("  phases: " + ", ".join(f"{name} {value:.2f}" for name, value in phases.items()))
    worst = 0.0
    for name, saw, says in (("p50 ms", quantile(times, 0.5), said["latency"]["p50_ms"]),
                            ("p95 ms", quantile(times, 0.95), said["latency"]["p95_ms"]),
                            ("dollars", cost, said["cost"]["dollars"])):
        error = says / saw - 1
        worst = max(worst, abs(error))
        print(f"  {name}: emulated {saw:.6g}, simulated {says:.6g}, error {error * 100:+.1f} %",
              flush=True)
    if options.keep:
        with open(f"{options.keep}-{seed}.json", "w") as file:
            json.dump({"seen": seen, "measured": measured, "billed": billed}, file)
    return worst


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--thaw", default=os.path.join(ROOT, "build/release/thaw"))
    parser.add_argument("--arrivals", type=int, default=240)
    parser.add_argument("--rate", type=float, default=1.5, help="arrivals a second")
    parser.add_argument("--seed", type=int, nargs="+", default=[1])
    parser.add_argument("--parts", type=int, default=6, help="of the replay, probes between")
    parser.add_argument("--probes", type=int, default=20, help="warm ones, before and after a part")
    parser.add_argument("--trace", help="TIMESTAMP,ContextTokens,GeneratedTokens, as Azure's")
    parser.add_argument("--stretch", type=float, default=10, help="of the trace's time")
    parser.add_argument("--silence", type=float, default=5, help="seconds at most without arrivals")
    parser.add_argument("--keep", help="a path to write what was seen to, with -SEED.json")
    parser.add_argument("--smoke", action="store_true", help="structure, not times")
    return parser.parse_args()


def main():
    options = arguments()
    if options.smoke:
        options.arrivals, options.rate, options.parts, options.probes = 8, 20, 2, 8
    with tempfile.TemporaryDirectory() as folder:
        snapshot = os.path.join(folder, "function.thaw")
        if options.model.endswith(".thaw"):
            os.symlink(os.path.abspath(options.model), snapshot)
        else:
            subprocess.run([options.thaw, "freeze", options.model, "-o", snapshot], check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        worst = max(compare(options, snapshot, folder, seed) for seed in options.seed)
    return 0 if worst <= 0.1 or options.smoke else 1


if __name__ == "__main__":
    sys.exit(main())
