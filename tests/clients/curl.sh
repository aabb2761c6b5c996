#!/bin/bash
# curl: curl.sh URL EXTRA; EXTRA as in openai_python.py. Prints one line a check.
set -eu  # a grep that has seen enough breaks its pipe

url=$1
fields=$(python3 -c 'import json, sys
extra = json.loads(sys.argv[1])
extra.pop("thinks", None)
print(json.dumps(extra)[1:-1])' "$2")
common="\"max_tokens\":24,\"seed\":7${fields:+,$fields}"
chat="{$common,\"messages\":[{\"role\":\"user\",\"content\":\"Say something short.\"}]"

ask() { # PATH BODY [OPTION...]
  curl --silent --show-error --max-time 60 -H 'content-type: application/json' -d "$2" \
    "${@:3}" "$url$1"
}

[ "$(curl -s -o /dev/null -w '%{http_code}' "$url/readyz")" = 200 ]
ask /v1/chat/completions "$chat}" | grep -q '"object":"chat.completion"'
echo "chat"
ask /v1/chat/completions "$chat,\"stream\":true}" -N | grep -q '^data: \[DONE\]'
ask /v1/chat/completions "$chat,\"stream\":true}" -N --http1.0 | grep -q '^data: \[DONE\]'
echo "chat, streamed, also in HTTP/1.0"
ask /predict "{$common,\"prompt\":\"Hello\"}" -H 'Transfer-Encoding: chunked' | grep -q '"text"'
ask /predict "{$common,\"prompt\":\"Hello\"}" -H 'Expect: 100-continue' | grep -q '"text"'
echo "direct, chunked and after 100-continue"
[ "$(ask /predict '{' -o /dev/null -w '%{http_code}')" = 400 ]
[ "$(ask /nowhere '{}' -o /dev/null -w '%{http_code}')" = 404 ]
echo "errors"
