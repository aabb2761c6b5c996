// The AWS SDK for JavaScript against the emulator's Lambda: lambda_node.mjs NODE_FOLDER URL EXTRA;
// EXTRA as in boto3_lambda.py. Prints one line a check.
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const [folder, url, more] = process.argv.slice(2);
const aws = createRequire(folder + "/")("@aws-sdk/client-lambda");
const { thinks = false, function: name, folder: files, ...extra } = JSON.parse(more);
const client = new aws.LambdaClient({
  endpoint: url,
  region: "us-east-1",
  credentials: { accessKeyId: "none", secretAccessKey: "none" },
  maxAttempts: 1,
});
const event = {
  messages: [{ role: "user", content: "Say something short." }],
  max_tokens: 24, temperature: 0.7, seed: 7, ...extra,
};
const Payload = JSON.stringify(event);
const read = (payload) => JSON.parse(Buffer.from(payload).toString());

const answer = await client.send(
  new aws.InvokeCommand({ FunctionName: name, Payload, LogType: "Tail" }));
assert.equal(answer.FunctionError, undefined);
const whole = read(answer.Payload);
assert.ok(whole.text);
assert.equal(whole.reasoning_content !== undefined, thinks);
assert.match(Buffer.from(answer.LogResult, "base64").toString(), /^REPORT RequestId: /m);
assert.equal(answer.ExecutedVersion, "$LATEST");
console.log("invoke");

const streamed = await client.send(new aws.InvokeWithResponseStreamCommand({
  FunctionName: name, Payload: JSON.stringify({ ...event, stream: true }) }));
let body = "";
let complete = null;
for await (const part of streamed.EventStream) {
  if (part.PayloadChunk) body += Buffer.from(part.PayloadChunk.Payload).toString();
  if (part.InvokeComplete) complete = part.InvokeComplete;
}
assert.ok(complete);
assert.equal(complete.ErrorCode, undefined);
const lines = body.trim().split("\n").map((line) => JSON.parse(line));
assert.equal(lines.map((line) => line.text ?? "").join(""), whole.text);
console.log("invoke with response stream");

const failed = await client.send(
  new aws.InvokeCommand({ FunctionName: name, Payload: JSON.stringify({ what: 1 }) }));
assert.equal(failed.FunctionError, "Unhandled");
assert.equal(read(failed.Payload).errorType, "Function.UnsupportedEvent");
await assert.rejects(client.send(new aws.InvokeCommand({ FunctionName: "nobody" })),
  (error) => error instanceof aws.ResourceNotFoundException && error.$metadata.httpStatusCode === 404);
await assert.rejects(client.send(new aws.InvokeCommand({ FunctionName: name, Payload: "{" })),
  (error) => error instanceof aws.InvalidRequestContentException);
console.log("errors");

await client.send(new aws.PutFunctionConcurrencyCommand({
  FunctionName: name, ReservedConcurrentExecutions: 2 }));
const all = await Promise.allSettled(Array.from({ length: 50 }, () =>
  client.send(new aws.InvokeCommand({ FunctionName: name, Payload }))));
const refused = all.filter((each) => each.status === "rejected");
assert.ok(refused.length > 0 && refused.length <= 48, `${refused.length}`);
for (const { reason } of refused) {
  assert.ok(reason instanceof aws.TooManyRequestsException, `${reason}`);
  assert.equal(reason.Reason, "ReservedFunctionConcurrentInvocationLimitExceeded");
}
for (const each of all) {
  if (each.status === "fulfilled") assert.equal(read(each.value.Payload).text, whole.text);
}
// Everybody who tries again is answered. (The SDK's own retries have a quota, which 50 callers of 2
// places use up.)
const texts = await Promise.all(Array.from({ length: 50 }, async () => {
  for (;;) {
    try {
      const again = await client.send(new aws.InvokeCommand({ FunctionName: name, Payload }));
      return read(again.Payload).text;
    } catch (error) {
      if (!(error instanceof aws.TooManyRequestsException)) throw error;
      await new Promise((wake) => setTimeout(wake, 50));
    }
  }
}));
assert.deepEqual(new Set(texts), new Set([whole.text]));
await client.send(new aws.DeleteFunctionConcurrencyCommand({ FunctionName: name }));
console.log("reserved concurrency 2, 50 at once, none lost");

const { Functions } = await client.send(new aws.ListFunctionsCommand({}));
assert.deepEqual(Functions.map((each) => each.FunctionName), [name]);
const got = await client.send(new aws.GetFunctionCommand({ FunctionName: name }));
assert.equal(got.Configuration.PackageType, "Zip");
const put = await client.send(new aws.PutFunctionEventInvokeConfigCommand({
  FunctionName: name, MaximumRetryAttempts: 1 }));
assert.ok(put.LastModified instanceof Date && !Number.isNaN(put.LastModified.getTime()));
const later = await client.send(
  new aws.InvokeCommand({ FunctionName: name, Payload, InvocationType: "Event" }));
assert.equal(later.StatusCode, 202);
console.log("functions asked about, one invoked asynchronously");
process.exit(0);
