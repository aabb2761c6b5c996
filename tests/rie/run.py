#!/usr/bin/env python3
"""bootstrap under AWS's own runtime interface emulator, asked by boto3; prints a table.

  run.py --package LAMBDA.zip --cache FOLDER [--arch x86-64|aarch64]

The emulator comes out of PyPI's aws-sam-cli, pinned; it and boto3 are kept in the cache folder. The
zip is unpacked, seen as /var/task (in a mount namespace of its own) and started there; a package for
the other architecture runs under qemu-user.
"""

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile

SAM = "aws_sam_cli-1.170.0-py3-none-any.whl"
SAM_SHA256 = "24ebaf5ecba38dc1758089968cb89ab61e124b84e92a344fc7a2771a47f4d0bf"
BOTO3 = "boto3==1.44.5"
EMULATORS = {  # for the machine that this runs on
    "x86_64": ("samcli/local/rapid/aws-lambda-rie-x86_64",
               "6b1e686e62ab2baf5759c412c4864276ef2a88b094fca53ec070637ccba9b9a5"),
    "aarch64": ("samcli/local/rapid/aws-lambda-rie-arm64", None),  # held by the wheel's digest
}
PATIENCE_S = 120


def fail(message):
    print(f"test-rie: {message}", file=sys.stderr)
    sys.exit(1)


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def fetch_emulator(cache):
    member, wanted = EMULATORS.get(platform.machine()) or fail(
        f"no emulator for {platform.machine()}")
    target = os.path.join(cache, os.path.basename(member))
    if not os.path.exists(target):
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            print("test-rie: downloading aws-sam-cli from PyPI", flush=True)
            subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
                            "--only-binary=:all:", "--disable-pip-version-check", "-d", folder,
                            "aws-sam-cli==1.170.0"], check=True)
            wheel = os.path.join(folder, SAM)
            if sha256(wheel) != SAM_SHA256:
                fail(f"{SAM} is not the one that was pinned")
            with zipfile.ZipFile(wheel) as archive, archive.open(member) as source:
                with open(target + ".new", "wb") as out:
                    shutil.copyfileobj(source, out)
        os.chmod(target + ".new", 0o755)
        os.rename(target + ".new", target)
    if wanted and sha256(target) != wanted:
        fail(f"{target} is not the one that was pinned; remove it")
    return target


def with_boto3(cache):
    """This script's own process, with boto3 to be imported."""
    folder = os.path.join(cache, BOTO3.replace("==", "-"))
    if not os.path.isdir(folder):
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-warn-conflicts",
                        "--disable-pip-version-check", "--target", folder + ".new", BOTO3],
                       check=True)
        os.rename(folder + ".new", folder)
    sys.path.insert(0, folder)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Emulator:
    """The emulator with a function behind it, from a folder that is seen as /var/task."""

    def __init__(self, program, task, command, timeout_s=60, environment=None):
        import boto3
        from botocore.config import Config

        self.port = free_port()
        self.log_path = os.path.join(os.path.dirname(task), "log")
        words = [program, "--runtime-api-address", f"127.0.0.1:{free_port()}",
                 "--runtime-interface-emulator-address", f"127.0.0.1:{self.port}", *command]
        # What else is in /var is of no interest to either. Who is not root becomes it for this.
        namespace = ["unshare", "--mount", *([] if os.getuid() == 0 else ["--map-root-user"])]
        script = ('mount -t tmpfs none /var && mkdir /var/task && mount --bind "$0" /var/task && '
                  'cd /var/task && exec "$@"')
        variables = dict(os.environ, LAMBDA_TASK_ROOT="/var/task",
                         AWS_LAMBDA_FUNCTION_TIMEOUT=str(timeout_s), **(environment or {}))
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*namespace, "sh", "-c", script, task, *words],
                stdout=log, stderr=log, env=variables, start_new_session=True)
        self.client = boto3.client(
            "lambda", endpoint_url=f"http://127.0.0.1:{self.port}", region_name="us-east-1",
            aws_access_key_id="x", aws_secret_access_key="y",
            config=Config(retries={"max_attempts": 0}, read_timeout=PATIENCE_S,
                          max_pool_connections=20))
        until = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if time.monotonic() > until:
                    fail(f"the emulator did not start: {self.log()[-500:]}")
                time.sleep(0.05)

    def invoke(self, event, **more):
        """The answer's bytes, or what boto3 said."""
        from botocore.exceptions import ClientError

        payload = event if isinstance(event, (bytes, str)) else json.dumps(event)
        try:
            return self.client.invoke(FunctionName="function", Payload=payload, **more)[
                "Payload"].read()
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            return f"HTTP {status}".encode()

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def children(self):
        """The processes below the emulator's own."""
        done = subprocess.run(["ps", "-e", "-o", "pid=,ppid=,args="], capture_output=True,
                              text=True, check=True)
        rows = [line.split(None, 2) for line in done.stdout.splitlines()]
        parents = {self.process.pid}
        found = []
        for pid, parent, words in sorted(rows, key=lambda row: int(row[0])):
            if int(parent) in parents:
                parents.add(int(pid))
                if "/var/task/bootstrap" in words and "aws-lambda-rie" not in words:
                    found.append(int(pid))
        return found

    def end(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Table:
    def __init__(self):
        self.failures = 0

    def row(self, name, ok, seconds, found):
        self.failures += not ok
        verdict = "ok" if ok else "FAILED"
        print(f"{verdict:6} {name:46} {seconds * 1e3:9.1f} ms  {found}", flush=True)


def short(answer):
    return answer.decode(errors="replace")[:120].replace("\n", " ")


def as_json(answer):
    try:
        return json.loads(answer)
    except ValueError:
        return {}


def timed(work):
    begin = time.monotonic()
    result = work()
    return time.monotonic() - begin, result


def check_plain(emulator, table):
    prompt = {"prompt": "What is the capital of Italy?", "max_tokens": 12}
    for name in ("first invocation, cold", "second, warm"):
        seconds, answer = timed(lambda: emulator.invoke(prompt))
        table.row(name, as_json(answer).get("usage", {}).get("completion_tokens", 0) > 0, seconds,
                  short(answer))
    chat = {"version": "2.0", "routeKey": "$default", "rawPath": "/v1/chat/completions",
            "rawQueryString": "", "headers": {"content-type": "application/json"},
            "requestContext": {"http": {"method": "POST", "path": "/v1/chat/completions"}},
            "body": json.dumps({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 8}),
            "isBase64Encoded": False}
    seconds, answer = timed(lambda: emulator.invoke(chat))
    table.row("an HTTP event", as_json(answer).get("statusCode") == 200, seconds, short(answer))
    seconds, answer = timed(lambda: emulator.invoke(dict(prompt, stream=True)))
    table.row("a stream, which the emulator joins", answer.count(b"\n") > 3, seconds, short(answer))


def check_errors(emulator, table):
    before = emulator.children()
    for name, event, wanted in (
            ("an event that is not handled", {"source": "aws.ec2", "detail-type": "x"},
             "Function.UnsupportedEvent"),
            ("an event that is no JSON", b'{"prompt": ', "Function.InvalidRequest"),
            ("an option of the wrong type", {"prompt": 7}, "Function.InvalidRequest"),
            ("an event above 6 MB", {"prompt": "x" * (7 << 20)}, "Function.RequestTooLarge")):
        seconds, answer = timed(lambda event=event: emulator.invoke(event))
        table.row(name, as_json(answer).get("errorType") == wanted, seconds, short(answer))
    import base64

    for name, context in (("a client's context with control characters", b'{"a":"\x01\x02\x7f"}'),
                          ("a client's context of 400 KB", b'{"a":"' + b"x" * 400000 + b'"}')):
        seconds, answer = timed(lambda context=context: emulator.invoke(
            {"prompt": "Hi", "max_tokens": 2}, ClientContext=base64.b64encode(context).decode()))
        table.row(name, "text" in as_json(answer), seconds, short(answer))
    table.row("the same process through all of it", before == emulator.children(), 0,
              f"{before} {emulator.children()}")


def check_row_of(emulator, table, count):
    times, texts = [], set()
    for _ in range(count):
        seconds, answer = timed(
            lambda: emulator.invoke({"prompt": "Name a colour.", "max_tokens": 4,
                                     "temperature": 0}))
        times.append(seconds)
        texts.add(as_json(answer).get("text"))
    times.sort()
    table.row(f"{count} invocations in a row", len(texts) == 1 and None not in texts,
              times[len(times) // 2], f"median; {sorted(map(repr, texts))[:2]}")


def check_crash(emulator, table):
    """The process dies in the middle of an invocation; the next finds a new one."""
    emulator.invoke({"prompt": "Hi", "max_tokens": 2})
    victims = emulator.children()
    killer = subprocess.Popen(["sh", "-c", f"sleep 0.4; kill -9 {' '.join(map(str, victims))}"])
    seconds, answer = timed(
        lambda: emulator.invoke({"prompt": "Tell me a long story.", "max_tokens": 4000}))
    killer.wait()
    table.row("killed in mid-invocation", b"Runtime.ExitError" in answer or b"HTTP 502" in answer,
              seconds, short(answer))
    seconds, answer = timed(lambda: emulator.invoke({"prompt": "Hi", "max_tokens": 2}))
    table.row("the invocation after it, a new process",
              "text" in as_json(answer) and emulator.children() != victims, seconds, short(answer))


def check_timeout(start, table):
    emulator = start(timeout_s=2)
    # Token 2 is the one that ends SmolLM2's answers.
    event = {"prompt": "Tell me a long story.", "max_tokens": 4000,
             "logit_bias": {"2": -100, "0": -100}}
    seconds, answer = timed(lambda: emulator.invoke(event))
    table.row("a timeout of 2 s: ends before it, by itself",
              as_json(answer).get("finish_reason") == "deadline" and seconds < 2.2, seconds,
              short(answer))
    seconds, answer = timed(lambda: emulator.invoke({"prompt": "Hi", "max_tokens": 2}))
    table.row("the invocation after it", "text" in as_json(answer), seconds, short(answer))
    emulator.end()


def check_sigterm(start, table):
    emulator = start()
    emulator.invoke({"prompt": "Hi", "max_tokens": 2})
    registered = "thaw-sigterm" in emulator.log()
    seconds, _ = timed(emulator.end)
    table.row("an extension brings SIGTERM", registered and not emulator.children(), seconds,
              "registered" if registered else "not registered")


def check_failing_start(start, table):
    emulator = start(environment={"THAW_SNAPSHOT": "/var/task/none.thaw"})
    seconds, answer = timed(lambda: emulator.invoke({"prompt": "Hi"}))
    table.row("a snapshot that is not there",
              answer == b"HTTP 502" and "'/var/task/none.thaw'" in emulator.log(), seconds,
              short(answer))
    emulator.end()


def check_concurrency(start, table):
    from concurrent.futures import ThreadPoolExecutor

    if os.getuid() != 0:
        print("       4 at once: only for root, for which the emulator gives up rights")
        return
    emulator = start(environment={"AWS_LAMBDA_MAX_CONCURRENCY": "4"})
    emulator.invoke({"prompt": "Hi", "max_tokens": 2})
    time.sleep(0.5)

    def ask(number):
        return emulator.invoke({"prompt": f"Count from {number}.", "max_tokens": 16,
                                "temperature": 0})

    alone = [as_json(ask(number)).get("text") for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        seconds, answers = timed(lambda: list(pool.map(ask, range(4))))
    together = [as_json(answer).get("text") for answer in answers]
    table.row("4 at once (managed instances)", together == alone and None not in alone, seconds,
              short(answers[0]))
    emulator.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--package", required=True, help="the Lambda zip of 'make package'")
    parser.add_argument("--cache", required=True)
    parser.add_argument("--arch", default="x86-64", choices=("x86-64", "aarch64"))
    parser.add_argument("--count", type=int, default=50)
    arguments = parser.parse_args()
    os.makedirs(arguments.cache, exist_ok=True)
    program = fetch_emulator(os.path.abspath(arguments.cache))
    with_boto3(os.path.abspath(arguments.cache))
    with tempfile.TemporaryDirectory(prefix="thaw-rie-") as folder:
        task = os.path.join(folder, "task")
        with zipfile.ZipFile(arguments.package) as archive:
            archive.extractall(task)
            for info in archive.infolist():  # as unzip, and Lambda, do
                os.chmod(os.path.join(task, info.filename), info.external_attr >> 16 & 0o777)
            snapshot = next(name for name in archive.namelist() if name.endswith(".thaw"))
        command = ["/var/task/bootstrap"]
        native = {"x86-64": "x86_64"}.get(arguments.arch, arguments.arch) == platform.machine()
        if not native:
            command = [shutil.which("qemu-aarch64-static") or fail("no qemu-aarch64-static"),
                       "-cpu", "max", *command]

        def start(timeout_s=60, environment=None):
            # The emulator sets _HANDLER to its command's second word, if there is one.
            variables = {"_HANDLER": snapshot, "THAW_LOG": "info"}
            if not native:
                variables["THAW_SNAPSHOT"] = f"/var/task/{snapshot}"
            variables.update(environment or {})
            return Emulator(program, task, command, timeout_s, variables)

        table = Table()
        emulator = start()
        check_plain(emulator, table)
        check_errors(emulator, table)
        if native:
            check_row_of(emulator, table, arguments.count)
            check_crash(emulator, table)
        emulator.end()
        check_failing_start(start, table)
        if native:
            check_timeout(start, table)
            check_sigterm(start, table)
            check_concurrency(start, table)
    if table.failures:
        fail(f"{table.failures} failed")
    print(f"all as it should be: {re.sub('-py3.*', '', SAM)}, {BOTO3}, {arguments.arch}")


if __name__ == "__main__":
    main()
