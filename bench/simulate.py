"""Does `thaw simulate` say what `thaw emulate` then does?

    python3 bench/simulate.py MODEL.gguf [--seconds 60] [--rate 1] [--seed 1]

The emulator replays a trace of its own, real bootstraps behind it: Poisson arrivals with prompts
and answers of many lengths. Before and after it other runs of the emulator measure the phases: cold
starts and warm invocations of three shapes. The simulator is fed with those phases and with the
trace's arrivals and tokens, and predicts its p50, p95 and cost; the errors are printed, and kept in
PROMISES.md. One thread an instance: a trace that keeps more instances busy at a time than there are
processors measures the laptop, not the simulator.
"""
import argparse
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
THAW = os.path.join(ROOT, "build/release/thaw")
MEMORY_MB = 1769  # a whole vCPU on Lambda
SHORT, LONG, TOKENS = 5, 60, 16  # words of a prompt, and tokens of an answer at most
WORDS = "river stone light quiet morning letter garden window yellow paper seven".split()


class Emulator:
    def __init__(self, snapshot, folder, concurrency):
        self.log_path = os.path.join(folder, "emulator.log")
        self.log = open(self.log_path, "w")
        environment = dict(os.environ, THAW_THREADS="1")
        self.process = subprocess.Popen(
            [THAW, "emulate", snapshot, "--port", "0", "--memory", str(MEMORY_MB), "--concurrency",
             str(concurrency), "--state", os.path.join(folder, "state")],
            stderr=self.log, env=environment)
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


def measure(snapshot, folder, rounds, seed, shapes):
    """Adds what separate invocations took: a cold start, and warm ones of three shapes."""
    generator = random.Random(seed)
    for _ in range(rounds):
        emulator = Emulator(snapshot, folder, 1)
        prompt = prompt_of(generator, SHORT)
        cold = emulator.invoke(prompt, 1)
        shapes["start"].append((cold[0] - emulator.invoke(prompt, 1)[0], 0, 0))
        for _ in range(rounds):
            shapes["short"].append(emulator.invoke(prompt_of(generator, SHORT), 1))
            shapes["long"].append(emulator.invoke(prompt_of(generator, LONG), 1))
            shapes["answer"].append(emulator.invoke(prompt_of(generator, SHORT), TOKENS))
        emulator.stop()


def phases_of(shapes):
    """The phases that `thaw simulate --measured` reads, from the medians of each shape."""
    middle = {name: [statistics.median(part) for part in zip(*seen)]
              for name, seen in shapes.items()}
    (short, short_tokens, _), (long, long_tokens, _) = middle["short"], middle["long"]
    prefill = (long_tokens - short_tokens) / (long - short)
    answer, answer_tokens, answered = middle["answer"]
    overhead = max(0, short - short_tokens / prefill)
    decode = (answered - 1) / (answer - overhead - answer_tokens / prefill)
    return {"start_ms": max(0, middle["start"][0] * 1e3), "overhead_ms": overhead * 1e3,
            "prefill_tokens_per_s": prefill, "decode_tokens_per_s": decode, "vcpus": 1}


def replay(snapshot, folder, seconds, rate, seed):
    """What each arrival saw: (at, prompt tokens, answered tokens, seconds), and the billed ms."""
    generator = random.Random(seed)
    plan, at = [], 0.0
    while True:
        at += generator.expovariate(rate)
        if at >= seconds:
            break
        plan.append((at, prompt_of(generator, generator.randint(SHORT, LONG)),
                     generator.randint(1, TOKENS)))
    emulator = Emulator(snapshot, folder, 10)
    seen, threads = [], []
    lock = threading.Lock()
    began = time.monotonic()

    def ask(at, prompt, max_tokens):
        answer = emulator.invoke(prompt, max_tokens)
        with lock:
            seen.append((at, answer))

    for at, prompt, max_tokens in plan:
        time.sleep(max(0.0, began + at - time.monotonic()))
        threads.append(threading.Thread(target=ask,
                                        args=(time.monotonic() - began, prompt, max_tokens)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    billed = emulator.stop()
    if any(answer is None for _, answer in seen):
        sys.exit("simulate.py: the emulator refused an invocation: more than 10 at a time; "
                 "lower --rate, or run it where nothing halts it")
    return sorted((at, tokens, answered, time_) for at, (time_, tokens, answered) in seen), billed


def quantile(values, q):
    values = sorted(values)
    return values[max(1, math.ceil(q * len(values))) - 1]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        snapshot = os.path.join(folder, "function.thaw")
        if options.model.endswith(".thaw"):
            os.symlink(os.path.abspath(options.model), snapshot)
        else:
            subprocess.run([THAW, "freeze", options.model, "-o", snapshot], check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # Before and after, since a machine with neighbours is not always as fast.
        shapes = {name: [] for name in ("start", "short", "long", "answer")}
        measure(snapshot, folder, options.rounds, 1000 + options.seed, shapes)
        seen, billed = replay(snapshot, folder, options.seconds, options.rate, options.seed)
        measure(snapshot, folder, options.rounds, 2000 + options.seed, shapes)
        phases = phases_of(shapes)
        print("phases: " + ", ".join(f"{name} {value:.2f}" for name, value in phases.items()))
        trace, measured = os.path.join(folder, "trace.csv"), os.path.join(folder, "phases.json")
        with open(trace, "w") as file:
            file.write("at,prompt_tokens,output_tokens\n")
            file.writelines(f"{at:.6f},{tokens},{answered}\n" for at, tokens, answered, _ in seen)
        with open(measured, "w") as file:
            json.dump(phases, file)
        run = subprocess.run([THAW, "simulate", trace, "--measured", measured, "--memory",
                              str(MEMORY_MB), "--concurrency", "10", "--json"],
                             check=True, capture_output=True, text=True)
        said = json.loads(run.stdout)["setups"][0]
    times = [seconds * 1e3 for *_, seconds in seen]
    gb_seconds = sum(billed) / 1e3 * MEMORY_MB / 1024
    cost = gb_seconds * 0.0000166667 + len(billed) * 0.0000002
    print(f"{len(seen)} invocations in {options.seconds:.0f} s, {said['cold']} cold as simulated, "
          f"at most {said['concurrency_peak']} at a time")
    worst = 0.0
    for name, saw, says in (("p50 ms", quantile(times, 0.5), said["latency"]["p50_ms"]),
                            ("p95 ms", quantile(times, 0.95), said["latency"]["p95_ms"]),
                            ("dollars", cost, said["cost"]["dollars"])):
        error = says / saw - 1
        worst = max(worst, abs(error))
        print(f"{name}: emulated {saw:.6g}, simulated {says:.6g}, error {error * 100:+.1f} %")
    return 0 if worst <= 0.1 else 1


if __name__ == "__main__":
    sys.exit(main())
