// The official OpenAI client for JavaScript: openai_node.mjs NODE_FOLDER URL EXTRA; EXTRA as in
// openai_python.py. Prints one line a check.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, url, more] = process.argv.slice(2);
const require = createRequire(folder + "/");
const { default: OpenAI } = await import(pathToFileURL(require.resolve("openai")));
const { thinks = false, ...extra } = JSON.parse(more);
const client = new OpenAI({ baseURL: url + "/v1", apiKey: "none", maxRetries: 0, timeout: 60000 });
const model = (await client.models.list()).data[0].id;
const request = { model, max_tokens: 24, temperature: 0.7, seed: 7, ...extra };
const chat = { ...request, messages: [{ role: "user", content: "Say something short." }] };

const whole = await client.chat.completions.create(chat);
const { message, finish_reason } = whole.choices[0];
const reasoning = message.reasoning_content ?? "";
assert.ok(message.content);
assert.ok(["stop", "length"].includes(finish_reason));
assert.equal(whole.usage.total_tokens, whole.usage.prompt_tokens + whole.usage.completion_tokens);
assert.equal(reasoning !== "", thinks);
console.log("chat");

let [text, thought, finish, usage] = ["", "", null, null];
const options = { stream: true, stream_options: { include_usage: true } };
for await (const chunk of await client.chat.completions.create({ ...chat, ...options })) {
  usage = chunk.usage ?? usage;
  for (const choice of chunk.choices) {
    text += choice.delta.content ?? "";
    thought += choice.delta.reasoning_content ?? "";
    finish = choice.finish_reason ?? finish;
  }
}
assert.deepEqual([text, thought, finish], [message.content, reasoning, finish_reason]);
assert.equal(usage.completion_tokens, whole.usage.completion_tokens);
console.log("chat, streamed");

const prompt = { ...request, prompt: "Once upon a time" };
const completion = await client.completions.create(prompt);
assert.ok(completion.choices[0].text);
let streamed = "";
for await (const chunk of await client.completions.create({ ...prompt, stream: true })) {
  streamed += chunk.choices[0].text;
}
assert.equal(streamed, completion.choices[0].text);
console.log("completion, whole and streamed");

await assert.rejects(client.chat.completions.create({ ...chat, n: 2 }), (error) => {
  return error instanceof OpenAI.BadRequestError && error.param === "n";
});
await assert.rejects(client.models.retrieve("no-such-model"), OpenAI.NotFoundError);
console.log("errors");

const left = await client.chat.completions.create({ ...chat, max_tokens: 400, stream: true });
for await (const _ of left) break;
assert.equal((await client.models.list()).data[0].id, model);
console.log("leaving in the middle");
