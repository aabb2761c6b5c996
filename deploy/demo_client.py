"""Sends one API Gateway event to a function, as its platform would, and prints the answer as it
comes: the streamed invocation of AWS Lambda (InvokeWithResponseStream), decoded by hand so that
nothing needs installing. Ends with a table of where the time went.

  python3 demo_client.py http://127.0.0.1:9000 FUNCTION EVENT.json EMULATOR.log
"""
import http.client
import json
import re
import struct
import sys
import time
import urllib.parse
import zlib


def frames(response):
    """The messages of application/vnd.amazon.eventstream: (headers, payload)."""
    def take(count):
        data = response.read(count)
        if len(data) != count:
            sys.exit("demo: the answer was cut short; see the emulator's log")
        return data
    while True:
        prelude = response.read(12)
        if not prelude:
            return
        total, headers_bytes, prelude_crc = struct.unpack(">III", prelude)
        rest = take(total - 12)
        if zlib.crc32(prelude[:8]) != prelude_crc or \
                zlib.crc32(prelude + rest[:-4]) != struct.unpack(">I", rest[-4:])[0]:
            sys.exit("demo: a frame's checksum is wrong")
        headers, at = {}, 0
        while at < headers_bytes:
            length = rest[at]
            name = rest[at + 1:at + 1 + length].decode()
            at += 2 + length
            size, = struct.unpack(">H", rest[at:at + 2])
            headers[name] = rest[at + 2:at + 2 + size].decode()
            at += 2 + size
        yield headers, rest[headers_bytes:-4]


def main(url, function, event_path, log_path):
    address = urllib.parse.urlsplit(url)
    with open(event_path, "rb") as file:
        event = file.read()
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=120)
    begin = time.monotonic()
    connection.request("POST", f"/2021-11-15/functions/{function}/response-streaming-invocations",
                       event, {"Content-Type": "application/json"})
    response = connection.getresponse()
    if response.status != 200:
        sys.exit(f"demo: status {response.status}: {response.read().decode(errors='replace')}")
    head, waiting, first, last = None, b"", None, {}
    for headers, payload in frames(response):
        if headers[":event-type"] == "InvokeComplete":
            error = json.loads(payload or b"{}").get("ErrorCode")
            if error:
                sys.exit(f"demo: the function failed: {payload.decode()}")
            break
        waiting += payload
        if head is None:  # the HTTP integration's prelude ends with eight zero bytes
            if b"\0" * 8 not in waiting:
                continue
            prelude, waiting = waiting.split(b"\0" * 8, 1)
            head = json.loads(prelude)
        while b"\n" in waiting:
            line, waiting = waiting.split(b"\n", 1)
            if not line:
                continue
            part = json.loads(line)
            if "error" in part:
                sys.exit(f"demo: {part['error']['message']}")
            if part.get("text") and first is None:
                first = time.monotonic()
            sys.stdout.write(part.get("text", ""))
            sys.stdout.flush()
            last = part if "usage" in part else last
    total = time.monotonic() - begin
    print("\n")
    if head is None or "timings" not in last or first is None:
        sys.exit("demo: the answer has no text or no end; see the emulator's log")
    with open(log_path) as file:
        started = re.findall(r"Init Duration: ([0-9.]+) ms", file.read())
    usage, timings = last["usage"], last["timings"]
    rows = [("start bootstrap, map the snapshot", started[-1] if started else "?", ""),
            ("tokenise", timings["tokenise_ms"], ""),
            ("restore the system message", timings["prefix_ms"],
             f"{usage['cached_tokens']} tokens"),
            ("prefill", timings["prefill_ms"],
             f"{usage['prompt_tokens'] - usage['cached_tokens']} tokens"),
            ("decode", timings["decode_ms"],
             f"{usage['completion_tokens']} tokens, "
             f"{usage['completion_tokens'] / timings['decode_ms'] * 1000:.0f}/s"),
            ("event sent to first text", f"{(first - begin) * 1000:.1f}", "a cold start"),
            ("event sent to last byte", f"{total * 1000:.1f}", f"HTTP {head['statusCode']}")]
    print("where the time went                        ms")
    for name, value, note in rows:
        print(f"  {name:34}{float(value) if value != '?' else 0:10.1f}  {note}".rstrip())


if __name__ == "__main__":
    main(*sys.argv[1:])
