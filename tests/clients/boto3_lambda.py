"""boto3 against the emulator's Lambda: boto3_lambda.py URL EXTRA; EXTRA as in openai_python.py, and
"function" in it is the function's name, "folder" one for files. Prints one line a check."""

import concurrent.futures
import json
import pathlib
import sys
import time

import boto3
import botocore.exceptions
from botocore.config import Config

url, extra = sys.argv[1], json.loads(sys.argv[2])
thinks, function = extra.pop("thinks", False), extra.pop("function")
ends = pathlib.Path(extra.pop("folder")) / "ends.jsonl"
CALLERS = 50


client = boto3.client(
    "lambda",
    endpoint_url=url,
    region_name="us-east-1",
    aws_access_key_id="none",
    aws_secret_access_key="none",
    config=Config(retries={"max_attempts": 0}, read_timeout=60, max_pool_connections=CALLERS),
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


def throttled():
    """Whether this call is refused for the function's concurrency; anything else is an error."""
    try:
        answer = client.invoke(FunctionName=function, Payload=json.dumps(event))
        assert json.load(answer["Payload"])["text"] == whole["text"]
        return False
    except client.exceptions.TooManyRequestsException as error:
        reason = "ReservedFunctionConcurrentInvocationLimitExceeded"
        assert error.response["Reason"] == reason, error.response
        assert error.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "1"
        return True


def until_answered():
    while throttled():
        time.sleep(0.05)


client.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=2)
assert client.get_function_concurrency(FunctionName=function)["ReservedConcurrentExecutions"] == 2
with concurrent.futures.ThreadPoolExecutor(CALLERS) as callers:
    refused = sum(callers.map(lambda _: throttled(), range(CALLERS)))
    assert 0 < refused <= CALLERS - 2, refused
    # Everybody who tries again is answered. (The SDK's own retries have a quota, which 50 callers
    # of 2 places use up.)
    list(callers.map(lambda _: until_answered(), range(CALLERS)))
client.delete_function_concurrency(FunctionName=function)
assert not throttled()
ok(f"reserved concurrency 2, {CALLERS} at once, none lost")

listed = [page["Functions"] for page in client.get_paginator("list_functions").paginate()]
assert [each["FunctionName"] for page in listed for each in page] == [function], listed
assert client.get_function(FunctionName=function)["Configuration"]["State"] == "Active"
arn = client.get_function_configuration(FunctionName=function)["FunctionArn"]
assert client.invoke(FunctionName=arn, InvocationType="DryRun")["StatusCode"] == 204
for wrong, what in (("nobody", "ResourceNotFoundException"), ("a b", "ValidationException")):
    try:
        client.invoke(FunctionName=wrong)
        raise AssertionError(wrong)
    except (botocore.exceptions.ClientError, botocore.exceptions.ParamValidationError) as error:
        assert what in str(error) or isinstance(error, botocore.exceptions.ParamValidationError)
ok("functions asked about")

client.put_function_event_invoke_config(
    FunctionName=function, MaximumRetryAttempts=0,
    DestinationConfig={"OnSuccess": {"Destination": f"file:{ends}"}})
config = client.get_function_event_invoke_config(FunctionName=function)
assert config["MaximumRetryAttempts"] == 0 and config["LastModified"], config
sent = client.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(event))
assert sent["StatusCode"] == 202, sent
for _ in range(600):
    if ends.exists() and ends.read_text().endswith("\n"):
        break
    time.sleep(0.05)
document = json.loads(ends.read_text())
assert document["requestContext"]["requestId"] == sent["ResponseMetadata"]["RequestId"], document
assert document["responsePayload"]["text"] == whole["text"], document
client.delete_function_event_invoke_config(FunctionName=function)
ok("invoked asynchronously, its destination told")
