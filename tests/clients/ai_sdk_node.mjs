// Vercel's AI SDK: ai_sdk_node.mjs NODE_FOLDER URL EXTRA; EXTRA as in openai_python.py. Prints one
// line a check.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, url, more] = process.argv.slice(2);
const require = createRequire(folder + "/");
const load = (name) => import(pathToFileURL(require.resolve(name)));
const { generateText, streamText } = await load("ai");
const { createOpenAICompatible } = await load("@ai-sdk/openai-compatible");
const { thinks = false, ...extra } = JSON.parse(more);

// What the SDK has no setting for is added to the request's body on its way.
const withExtra = (target, init) =>
  fetch(target, { ...init, body: JSON.stringify({ ...JSON.parse(init.body), ...extra }) });
const provider = createOpenAICompatible({
  name: "thaw",
  baseURL: url + "/v1",
  includeUsage: true,
  fetch: withExtra,
});
const asked = {
  model: provider("model"),
  prompt: "Say something short.",
  maxOutputTokens: 24,
  temperature: 0.7,
  seed: 7,
  maxRetries: 0,
};

const whole = await generateText(asked);
assert.ok(whole.text);
assert.ok(["stop", "length"].includes(whole.finishReason));
assert.equal((whole.reasoningText ?? "") !== "", thinks);
assert.ok(whole.usage.inputTokens > 0 && whole.usage.outputTokens > 0);
console.log("chat");

const stream = streamText({ ...asked, onError: ({ error }) => { throw error; } });
let [text, thought] = ["", ""];
for await (const part of stream.fullStream) {
  assert.notEqual(part.type, "error", JSON.stringify(part));
  if (part.type === "text-delta") text += part.text;
  if (part.type === "reasoning-delta") thought += part.text;
}
assert.equal(text, whole.text);
assert.equal(thought, whole.reasoningText ?? "");
assert.equal(await stream.finishReason, whole.finishReason);
assert.equal((await stream.usage).outputTokens, whole.usage.outputTokens);
console.log("chat, streamed");

await assert.rejects(generateText({ ...asked, temperature: -1 }), (error) => {
  return error.statusCode === 400 && error.message.includes("temperature");
});
console.log("errors");
