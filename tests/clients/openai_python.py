"""The official OpenAI client for Python: openai_python.py URL EXTRA, EXTRA being further fields of
the request as JSON; a model that thinks is told by "thinks" in it. Prints one line a check."""

import json
import sys

import openai

url, extra = sys.argv[1], json.loads(sys.argv[2])
thinks = extra.pop("thinks", False)
client = openai.OpenAI(base_url=url + "/v1", api_key="none", max_retries=0, timeout=60)
model = client.models.list().data[0].id
request = dict(model=model, max_tokens=24, temperature=0.7, seed=7, extra_body=extra)
chat = dict(request, messages=[{"role": "user", "content": "Say something short."}])


def ok(check):
    print(check, flush=True)


whole = client.chat.completions.create(**chat)
message = whole.choices[0].message
reasoning = getattr(message, "reasoning_content", None) or ""
assert message.content and message.role == "assistant", whole
assert whole.choices[0].finish_reason in ("stop", "length"), whole
usage = whole.usage
assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens > 0, usage
assert bool(reasoning) == thinks, whole
ok("chat")

text, thought, finish, streamed_usage = "", "", None, None
for chunk in client.chat.completions.create(
    **chat, stream=True, stream_options={"include_usage": True}
):
    if chunk.usage:
        streamed_usage = chunk.usage
    for choice in chunk.choices:
        text += choice.delta.content or ""
        thought += getattr(choice.delta, "reasoning_content", None) or ""
        finish = choice.finish_reason or finish
assert (text, thought) == (message.content, reasoning), (text, thought, whole)
assert finish == whole.choices[0].finish_reason
assert streamed_usage.completion_tokens == usage.completion_tokens, streamed_usage
ok("chat, streamed")

completion = client.completions.create(**request, prompt="Once upon a time", logprobs=1)
assert completion.choices[0].text and completion.choices[0].logprobs.tokens, completion
streamed = client.completions.create(**request, prompt="Once upon a time", stream=True)
assert "".join(c.choices[0].text for c in streamed) == completion.choices[0].text
ok("completion, whole and streamed")

for wrong, name in ((dict(n=2), "n"), (dict(temperature=-1), "temperature")):
    try:
        client.chat.completions.create(**dict(chat, **wrong))
        raise AssertionError("accepted " + name)
    except openai.BadRequestError as error:
        assert error.param == name and name in error.message, error
try:
    client.models.retrieve("no-such-model")
    raise AssertionError("found a model that is not there")
except openai.NotFoundError as error:
    assert error.code == "model_not_found", error
ok("errors")

stream = client.chat.completions.create(**dict(chat, max_tokens=400), stream=True)
next(iter(stream))
stream.close()
assert client.models.list().data[0].id == model
ok("leaving in the middle")
