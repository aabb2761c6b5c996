"""Runs every client against both programs: run.py PROGRAMS CLIENTS, the folders of `thaw` and
`bootstrap`, and of what install.sh has put there. Prints a table; exit 1 where a check failed."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MODEL = ROOT / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"
GOLDEN = ROOT / "tests" / "data" / "golden" / "hf-qwen3-bf16"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_ready(url, process):
    for _ in range(400):
        if process.poll() is not None:
            sys.exit(f"clients: {process.args[0]} ended with {process.returncode}")
        with contextlib.suppress(OSError):
            urllib.request.urlopen(url, timeout=1).close()
            return
        time.sleep(0.05)
    sys.exit(f"clients: {process.args[0]} is not ready after 20 s")


@contextlib.contextmanager
def served(kind, programs, snapshot):
    """One of the programs behind a port; gives its URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = dict(os.environ, THAW_LOG="error")
    command = [programs / "bootstrap"]
    probe = url + "/readyz"
    if kind == "thaw serve":
        command = [programs / "thaw", "serve", snapshot, "--port", str(port)]
    elif kind == "thaw emulate":
        command = [programs / "thaw", "emulate", snapshot, "--port", str(port),
                   "--state", snapshot.parent / f"state-{port}"]
        probe = f"{url}/url/{snapshot.stem}/healthz"
    else:
        environment.update(PORT=str(port), THAW_SNAPSHOT=str(snapshot))
    process = subprocess.Popen(
        [str(word) for word in command],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until_ready(probe, process)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(20)
    if code != 0:
        sys.exit(f"clients: {kind} ended with {code}")


def snapshots(programs, folder):
    """Name, snapshot and further fields of requests, of each model."""
    thinking = folder / "thinking-hf"
    made = subprocess.run(
        [sys.executable, HERE / "thinking_model.py", GOLDEN, thinking],
        check=True, capture_output=True, text=True,
    )
    thinks = {"thinks": True, **json.loads(made.stdout)}
    sources = [("plain", MODEL, {}), ("thinking", thinking, thinks)]
    for name, source, extra in sources:
        snapshot = folder / f"{name}.thaw"
        subprocess.run([programs / "thaw", "freeze", source, "-o", snapshot], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        yield name, snapshot, extra


def run(client, words, rows):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True,
                          timeout=300, check=False)
    for check in done.stdout.splitlines():
        rows.append((*client, check, "ok"))
    if done.returncode != 0:
        rows.append((*client, "", "FAILED"))
        print(done.stderr, file=sys.stderr)


def main(programs, clients):
    if not MODEL.exists():
        sys.exit(f"clients: no {MODEL}; 'make model' fetches it")
    python, node = clients / "python" / "bin" / "python", clients / "node"
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for model, snapshot, extra in snapshots(programs, pathlib.Path(folder)):
            fields = json.dumps(extra)
            for kind in ("thaw serve", "bootstrap"):
                with served(kind, programs, snapshot) as url:
                    for name, words in (
                        ("openai (Python)", [python, HERE / "openai_python.py"]),
                        ("openai (JavaScript)", ["node", HERE / "openai_node.mjs", node]),
                        ("ai sdk", ["node", HERE / "ai_sdk_node.mjs", node]),
                        ("curl", ["bash", HERE / "curl.sh"]),
                    ):
                        run((name, kind, model), [*words, url, fields], rows)
            with served("thaw emulate", programs, snapshot) as url:
                fields = json.dumps(dict(extra, function=snapshot.stem, folder=folder))
                aws = clients / "aws" / "bin" / "aws"
                for name, words in (
                    ("boto3", [python, HERE / "boto3_lambda.py"]),
                    ("aws sdk (JavaScript)", ["node", HERE / "lambda_node.mjs", node]),
                    ("awscli", ["bash", HERE / "awscli.sh", aws]),
                ):
                    run((name, "thaw emulate", model), [*words, url, fields], rows)
                    for file in pathlib.Path(folder).glob("*.json*"):
                        file.unlink()
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    failed = sum(row[-1] != "ok" for row in rows)
    print(f"{len(rows) - failed} checks passed, {failed} clients failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()))
