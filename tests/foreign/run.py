"""Runs functions of other runtimes under `thaw emulate --bootstrap`, unchanged:
run.py THAW FOLDER, the folder of what build.sh has made. Prints a table; exit 1 where a check
failed."""

import base64
import contextlib
import http.client
import json
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time


class Emulator:
    """`thaw emulate` with one bootstrap, and what it says."""

    def __init__(self, thaw, bootstrap, folder, *words):
        snapshot = folder / "function.thaw"  # these runtimes open none
        snapshot.write_text("")
        command = [thaw, "emulate", snapshot, "--bootstrap", bootstrap, "--port", "0", "--timeout",
                   "1", "--state", folder / f"state-{bootstrap.name}", *words]
        self.process = subprocess.Popen([str(word) for word in command], stderr=subprocess.PIPE,
                                        stdin=subprocess.DEVNULL, text=True)
        self.lines = []
        self.ready = threading.Event()
        self.port = 0
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        if not self.ready.wait(20):
            self.process.kill()
            sys.exit("foreign: thaw emulate is not ready after 20 s: " + "".join(self.lines))

    def read(self):
        for line in self.process.stderr:
            self.lines.append(line)
            found = re.search(r"on http://127\.0\.0\.1:(\d+)", line)
            if found:
                self.port = int(found.group(1))
                self.ready.set()

    def invoke(self, event, path="/2015-03-31/functions/function/invocations"):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("POST", path, json.dumps(event), {"X-Amz-Log-Type": "Tail"})
        answer = connection.getresponse()
        return answer, answer.read()

    def said(self, text):
        for _ in range(400):
            if text in "".join(self.lines):
                return True
            time.sleep(0.01)
        return False

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(20)
        self.reader.join(5)
        return code


class Checks:
    def __init__(self):
        self.rows = []

    def check(self, runtime, what, holds, found=""):
        self.rows.append((runtime, what, "ok" if holds else f"FAILED: {found}"))

    def report(self):
        widths = [max(len(row[i]) for row in self.rows) for i in range(2)]
        for runtime, what, result in self.rows:
            print(f"{runtime:<{widths[0]}}  {what:<{widths[1]}}  {result}")
        failed = sum(result != "ok" for _, _, result in self.rows)
        print(f"{len(self.rows) - failed} checks passed, {failed} failed")
        return 1 if failed else 0


def check_buffered(checks, name, emulator):
    answer, body = emulator.invoke({"text": "grüße"})
    said = json.loads(body)
    checks.check(name, "answers", answer.status == 200 and said["text"] == "grüße", body)
    checks.check(name, "knows its context",
                 said["request_id"] == answer.getheader("x-amzn-RequestId")
                 and said["function"] == "function" and said["deadline"], body)
    log = base64.b64decode(answer.getheader("X-Amz-Log-Result")).decode()
    checks.check(name, "is reported as a cold start",
                 re.search(r"REPORT RequestId: .*Init Duration: [\d.]+ ms", log), log)
    again = json.loads(emulator.invoke({})[1])
    checks.check(name, "is used again, after a freeze", again["pid"] == said["pid"], again)

    answer, body = emulator.invoke({"do": "error"})
    checks.check(name, "reports an error",
                 answer.getheader("X-Amz-Function-Error") == "Unhandled"
                 and json.loads(body)["errorMessage"] == "it will not", body)
    checks.check(name, "and goes on", json.loads(emulator.invoke({})[1])["pid"] == said["pid"])
    answer, body = emulator.invoke({"do": "panic"})
    checks.check(name, "panics", answer.getheader("X-Amz-Function-Error") == "Unhandled"
                 and "it cannot" in body.decode(), body)
    answer, body = emulator.invoke({"do": "hang"})
    checks.check(name, "runs out of time", json.loads(body)["errorType"] == "Sandbox.Timedout"
                 and "Task timed out after 1.00 seconds" in body.decode(), body)
    answer, body = emulator.invoke({"do": "exit"})
    checks.check(name, "exits", "exit status 7" in body.decode(), body)
    checks.check(name, "is replaced", emulator.invoke({})[0].status == 200)


def check_streamed(checks, name, emulator):
    connection = http.client.HTTPConnection("127.0.0.1", emulator.port, timeout=30)
    emulator.invoke({})
    connection.request("POST", "/url/function/", json.dumps({}))
    connection.getresponse().read()
    path = "/2021-11-15/functions/function/response-streaming-invocations"
    connection.request("POST", path, json.dumps({"parts": 4, "pause_ms": 150}))
    answer = connection.getresponse()
    body, times = b"", []
    while part := answer.read1():
        body += part
        times.append(time.monotonic())
    texts = [f"part {i}".encode() in body for i in range(4)]
    checks.check(name, "streams", all(texts) and b"InvokeComplete" in body, body)
    checks.check(name, "part by part", times[-1] - times[0] > 0.3, times)
    answer, body = emulator.invoke({"parts": 2})
    checks.check(name, "is whole for who buffers", body.endswith(b"part 0\npart 1\n"), body)
    answer, body = emulator.invoke({"do": "error"}, path)
    checks.check(name, "reports an error", b"it will not" in body, body)


def main(thaw, built):
    checks = Checks()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name, bootstrap in (("aws-lambda-go", built / "go"),
                                ("lambda_runtime", built / "rust" / "buffered")):
            with contextlib.closing(Emulator(thaw, bootstrap, folder)) as emulator:
                check_buffered(checks, name, emulator)
                emulator.close()
                # Its own internal extension is what makes the platform send SIGTERM.
                checks.check(name, "is told to end", emulator.said("was told to end"),
                             "".join(emulator.lines[-5:]))
                checks.check(name, "leaves a report", emulator.said("on Lambda (x86)"))
        name = "lambda_runtime, streamed"
        with contextlib.closing(Emulator(thaw, built / "rust" / "streamed", folder)) as emulator:
            check_streamed(checks, name, emulator)
            checks.check(name, "leaves no error", emulator.close() == 0)
    return checks.report()


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])))
