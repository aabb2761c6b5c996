#!/bin/bash
# PyPI's awscli against the emulator's Lambda: awscli.sh AWS URL EXTRA; EXTRA as in boto3_lambda.py.
# Prints one line a check. (This awscli has no command for response streams.)
set -euo pipefail

aws=$1 url=$2
field() { python3 -c 'import json, sys; print(json.loads(sys.argv[1])[sys.argv[2]])' "$1" "$2"; }
function=$(field "$3" function)
folder=$(field "$3" folder)
event=$(python3 -c 'import json, sys
extra = json.loads(sys.argv[1])
for name in ("thinks", "function", "folder"):
    extra.pop(name, None)
print(json.dumps(dict(extra, prompt="Hello", max_tokens=8)))' "$3")
export AWS_ACCESS_KEY_ID=none AWS_SECRET_ACCESS_KEY=none AWS_DEFAULT_REGION=us-east-1
export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_MAX_ATTEMPTS=1
lambda() { "$aws" --endpoint-url "$url" --output json lambda "$@"; }

answer=$(lambda invoke --function-name "$function" --payload "$event" --log-type Tail \
  "$folder/answer.json")
[ "$(field "$answer" StatusCode)" = 200 ]
field "$answer" LogResult | base64 -d | grep -q '^REPORT RequestId: '
grep -q '"text"' "$folder/answer.json"
echo "invoke"
answer=$(lambda invoke --function-name "$function" --payload '{"what":1}' "$folder/answer.json")
[ "$(field "$answer" FunctionError)" = Unhandled ]
if lambda invoke --function-name nobody "$folder/answer.json" 2>"$folder/error"; then exit 1; fi
grep -q 'ResourceNotFoundException' "$folder/error"
echo "errors"
lambda put-function-concurrency --function-name "$function" \
  --reserved-concurrent-executions 0 >/dev/null
lambda invoke --function-name "$function" "$folder/answer.json" 2>"$folder/error" && exit 1
grep -q 'TooManyRequestsException' "$folder/error"
lambda delete-function-concurrency --function-name "$function"
echo "reserved concurrency"
lambda list-functions | grep -q "\"FunctionName\": \"$function\""
lambda get-function --function-name "$function" | grep -q '"State": "Active"'
lambda put-function-event-invoke-config --function-name "$function" --maximum-retry-attempts 1 |
  grep -q '"MaximumRetryAttempts": 1'
answer=$(lambda invoke --function-name "$function" --invocation-type Event --payload "$event" \
  "$folder/answer.json")
[ "$(field "$answer" StatusCode)" = 202 ]
echo "functions asked about, one invoked asynchronously"
