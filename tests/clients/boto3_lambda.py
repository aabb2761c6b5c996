"""boto3 against the emulator's Lambda: boto3_lambda.py URL EXTRA; EXTRA as in openai_python.py, and
"function" in it is the function's name. Prints one line a check."""

import json
import sys

import boto3
from botocore.config import Config

url, extra = sys.argv[1], json.loads(sys.argv[2])
thinks, function = extra.pop("thinks", False), extra.pop("function")
client = boto3.client(
    "lambda",
    endpoint_url=url,
    region_name="us-east-1",
    aws_access_key_id="none",
    aws_secret_access_key="none",
    config=Config(retries={"max_attempts": 0}, read_timeout=60),
)
event = dict(extra, messages=[{"role": "user", "content": "Say something short."}], max_tokens=24)
event.update(seed=7, temperature=0.7)


def ok(check):
    print(check, flush=True)


answer = client.invoke(FunctionName=function, Payload=json.dumps(event))
assert "FunctionError" not in answer, answer["Payload"].read()
whole = json.load(answer["Payload"])
assert whole["text"] and whole["usage"]["completion_tokens"] > 0, whole
assert bool(whole.get("reasoning_content")) == thinks, whole
ok("invoke")

streamed = client.invoke_with_response_stream(
    FunctionName=function, Payload=json.dumps(dict(event, stream=True))
)
body = b""
for part in streamed["EventStream"]:
    assert not part.get("InvokeComplete", {}).get("ErrorCode"), part
    body += part.get("PayloadChunk", {}).get("Payload", b"")
lines = [json.loads(line) for line in body.splitlines()]
assert "".join(line.get("text", "") for line in lines) == whole["text"], lines
assert lines[-1]["finish_reason"] == whole["finish_reason"], lines
ok("invoke with response stream")

failed = client.invoke(FunctionName=function, Payload=json.dumps({"what": 1}))
assert failed["FunctionError"] == "Unhandled", failed
assert json.load(failed["Payload"])["errorType"] == "Function.UnsupportedEvent"
ok("errors")

many = [json.load(client.invoke(FunctionName=function, Payload=json.dumps(event))["Payload"])
        for _ in range(20)]
assert all(each["text"] == whole["text"] for each in many)
ok("20 in a row")
