// The real `bootstrap` under the real emulator, with a real model.

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/str.h"
#include "tests/end_to_end/programs.h"

namespace thaw::end_to_end {
namespace {

using nlohmann::json;

json parsed(const std::string& text) {
  json value = json::parse(text, nullptr, /*allow_exceptions=*/false);
  EXPECT_FALSE(value.is_discarded()) << text;
  return value;
}

// A sample event with another body.
json sample(const std::string& name, const std::string& body) {
  const auto text =
      read_text(system_files(), cat(THAW_SOURCE_DIR "/tests/data/events/", name), 1 << 20);
  EXPECT_TRUE(text) << name;
  json event = parsed(*text);
  event["body"] = body;
  event["isBase64Encoded"] = false;
  return event;
}

class SmolLm2 : public testing::Test {
 protected:
  static void SetUpTestSuite() { emulated_ = new Emulated(snapshot_of(smollm2())); }
  static void TearDownTestSuite() {
    delete emulated_;
    emulated_ = nullptr;
  }
  static Emulated* emulated_;
};
Emulated* SmolLm2::emulated_ = nullptr;

constexpr const char* kBody = R"({"prompt":"Name three colours.","max_tokens":12})";

TEST_F(SmolLm2, AnswersADirectEventAsTheCommandLineDoes) {
  const http::Response response = emulated_->invoke(kBody);
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_FALSE(response.headers.has("x-amz-function-error")) << response.body;
  const json answer = parsed(response.body);
  const Finished run =
      run_thaw({"run", snapshot_of(smollm2()), "Name three colours.", "-n", "12", "--json"});
  ASSERT_EQ(run.code, 0) << run.err;
  const json same = parsed(run.out);
  EXPECT_EQ(answer["text"], same["text"]);
  EXPECT_FALSE(answer["text"].get<std::string>().empty());
  EXPECT_EQ(answer["usage"]["completion_tokens"], same["usage"]["completion_tokens"]);
}

TEST_F(SmolLm2, AnswersHttpEventsInTheShapeOfTheirSource) {
  const std::string plain = parsed(emulated_->invoke(kBody).body)["text"];
  json gateway =
      parsed(*read_text(system_files(), THAW_SOURCE_DIR "/deploy/demo_event.json", 1 << 20));
  gateway["body"] = kBody;
  const json answer = parsed(emulated_->invoke(gateway.dump()).body);
  EXPECT_EQ(answer["statusCode"], 200);
  EXPECT_EQ(parsed(answer["body"])["text"], plain);
  // Samples of the other sources, asked for the same at the path that answers it.
  json rest = sample("aws-lambda-go/apigw-request.json", kBody);
  rest["path"] = "/predict";
  rest["httpMethod"] = "POST";
  rest["headers"]["Content-Type"] = "application/json";
  rest.erase("multiValueHeaders");
  json url = sample("aws-lambda-go/lambda-urls-request.json", kBody);
  url["rawPath"] = "/predict";
  url["requestContext"]["http"]["method"] = "POST";
  url["requestContext"]["http"]["path"] = "/predict";
  url["headers"]["content-type"] = "application/json";
  json balancer = sample("aws-lambda-go/alb-lambda-target-request-headers-only.json", kBody);
  balancer["path"] = "/predict";
  balancer["httpMethod"] = "POST";
  balancer["headers"]["content-type"] = "application/json";
  for (const json& event : {rest, url, balancer}) {
    const json reply = parsed(emulated_->invoke(event.dump()).body);
    ASSERT_EQ(reply["statusCode"], 200) << reply.dump();
    EXPECT_EQ(parsed(reply["body"])["text"], plain);
  }
}

TEST_F(SmolLm2, AnswersARequestToTheFunctionUrl) {
  const std::string plain = parsed(emulated_->invoke(kBody).body)["text"];
  const http::Response response = emulated_->url("POST", "/predict", kBody);
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(parsed(response.body)["text"], plain);
  EXPECT_EQ(emulated_->url("GET", "/healthz", "").status, 200);
  EXPECT_EQ(emulated_->url("GET", "/nowhere", "").status, 404);
  EXPECT_EQ(emulated_->url("POST", "/predict", "{").status, 400);
}

TEST_F(SmolLm2, StreamsAChatAsItIsGenerated) {
  const std::string body =
      R"({"messages":[{"role":"user","content":"Count to five."}],"max_tokens":16,"stream":true})";
  std::vector<std::string> parts;
  const http::Response response = emulated_->url("POST", "/v1/chat/completions", body, &parts);
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_GT(parts.size(), 3u) << "the stream came in one piece";
  std::string streamed;
  std::size_t at = 0;
  while ((at = response.body.find("data: {", at)) != std::string::npos) {
    const std::size_t end = response.body.find("\n\n", at);
    const json chunk = parsed(response.body.substr(at + 6, end - at - 6));
    at = end;
    for (const json& choice : chunk["choices"]) {
      streamed += choice["delta"].value("content", "");
    }
  }
  EXPECT_NE(response.body.find("data: [DONE]"), std::string::npos);
  const std::string whole = R"({"messages":[{"role":"user","content":"Count to five."}],)"
                            R"("max_tokens":16})";
  const json answer = parsed(emulated_->url("POST", "/v1/chat/completions", whole).body);
  EXPECT_EQ(answer["choices"][0]["message"]["content"], streamed);
}

// A system message that was frozen is restored, whoever asks; another caller's own is computed.
TEST(SmolLm2Prefix, RestoresTheSystemMessageAndSaysSoInUsage) {
  const std::string snapshot = snapshot_of(
      smollm2(), "You are a clerk in a shop for paint. You name colours, nothing else.");
  Emulated emulated(snapshot);
  const std::string body =
      R"({"messages":[{"role":"user","content":"What goes with blue?"}],"max_tokens":8})";
  const json answer = parsed(emulated.url("POST", "/v1/chat/completions", body).body);
  const json& usage = answer["usage"];
  const int cached = usage["prompt_tokens_details"]["cached_tokens"];
  EXPECT_GT(cached, 15);
  EXPECT_LT(cached, usage["prompt_tokens"]);
  EXPECT_EQ(usage["prompt_cache_hit_tokens"], cached);
  EXPECT_EQ(usage["prompt_cache_miss_tokens"], usage["prompt_tokens"].get<int>() - cached);
  const json direct =
      parsed(emulated.invoke(R"({"prompt":"What goes with blue?","max_tokens":8})").body);
  EXPECT_EQ(direct["usage"]["cached_tokens"], cached);
  EXPECT_TRUE(direct["timings"].contains("prefix_ms"));
  EXPECT_EQ(direct["text"], answer["choices"][0]["message"]["content"]);
  const json computed = parsed(
      run_thaw({"run", snapshot, "What goes with blue?", "-n", "8", "--no-prefix", "--json"}).out);
  EXPECT_EQ(computed["usage"]["cached_tokens"], 0);
  EXPECT_EQ(computed["text"], direct["text"]);
  const std::string own =
      R"({"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Blue?"}],)"
      R"("max_tokens":8})";
  const json other = parsed(emulated.url("POST", "/v1/chat/completions", own).body);
  EXPECT_LT(other["usage"]["prompt_cache_hit_tokens"], cached / 2);
}

TEST(Phases, AreInTheFirstAnswerTheFieldTheLogAndTheReport) {
  Emulated emulated(snapshot_of(tiny_model()));
  const json cold = parsed(emulated.invoke(R"({"prompt":"ab cd","max_tokens":3})").body)["timings"];
  EXPECT_EQ(cold["clock"], "launcher");
  for (const char* name : {"exec_ms", "map_ms", "verify_ms", "tokenizer_ms", "prefix_ms", "read_ms",
                           "prefill_ms", "first_token_ms", "decode_ms"}) {
    EXPECT_TRUE(cold.contains(name)) << name;
  }
  EXPECT_GT(cold["exec_ms"].get<double>(), 0);
  // The start's steps, and what came after them, fit between the stamp and the first token.
  const double steps = cold["exec_ms"].get<double>() + cold["map_ms"].get<double>() +
                       cold["verify_ms"].get<double>() + cold["first_token_ms"].get<double>();
  EXPECT_GE(cold["since_start_ms"].get<double>() + 0.01, steps);
  const json warm = parsed(emulated.invoke(R"({"prompt":"ab cd","max_tokens":3})").body)["timings"];
  EXPECT_FALSE(warm.contains("exec_ms"));
  EXPECT_TRUE(warm.contains("first_token_ms"));
  const std::string body = R"({"prompt":"ab cd","max_tokens":3})";
  const http::Response url = emulated.url("POST", "/predict", body);
  EXPECT_NE(url.headers.get("server-timing").value_or("").find("first_token;dur="),
            std::string_view::npos);
  const http::Response stream =
      emulated.url("POST", "/predict", R"({"prompt":"ab cd","max_tokens":3,"stream":true})");
  EXPECT_NE(stream.headers.get("server-timing").value_or("").find("prefill;dur="),
            std::string_view::npos);
  EXPECT_NE(emulated.log().find("timings: "), std::string::npos);
  EXPECT_NE(emulated.log().find("\tTimings: exec;dur="), std::string::npos) << emulated.log();
}

TEST_F(SmolLm2, AnswersABatchOfMessagesPartially) {
  const json batch = {{"Records",
                       {{{"messageId", "good"},
                         {"eventSource", "aws:sqs"},
                         {"body", kBody},
                         {"eventSourceARN", "arn:aws:sqs:us-east-1:123456789012:queue"}},
                        {{"messageId", "bad"},
                         {"eventSource", "aws:sqs"},
                         {"body", R"({"prompt":7})"},
                         {"eventSourceARN", "arn:aws:sqs:us-east-1:123456789012:queue"}}}}};
  const json answer = parsed(emulated_->invoke(batch.dump()).body);
  ASSERT_EQ(answer["batchItemFailures"].size(), 1u) << answer.dump();
  EXPECT_EQ(answer["batchItemFailures"][0]["itemIdentifier"], "bad");
}

TEST_F(SmolLm2, FailsAnEventItCannotHandleAndGoesOn) {
  const std::string alien = R"({"source":"aws.ec2","detail-type":"x","detail":{}})";
  EXPECT_EQ(emulated_->invoke("not json").status, 400);  // the platform's own refusal
  for (const std::string& event : {alien, std::string("[]"), std::string("7")}) {
    const http::Response response = emulated_->invoke(event);
    EXPECT_EQ(response.status, 200);
    EXPECT_TRUE(response.headers.has("x-amz-function-error")) << response.body;
    EXPECT_TRUE(parsed(response.body).contains("errorMessage"));
  }
  EXPECT_FALSE(emulated_->invoke(kBody).headers.has("x-amz-function-error"));
}

// Pairwise over sets, threads and chunks; the full product runs on the golden models.
TEST(SmolLm2Score, DigestIsOneOnEverySetThreadCountAndChunk) {
  const std::string snapshot = snapshot_of(smollm2());
  const std::string text = cat(testing::TempDir(), "thaw-e2e-score.txt");
  {
    auto file = system_files().create(text);
    ASSERT_TRUE(
        (*file)->append(as_bytes("The sky was the colour of slate that morning, and the "
                                 "ferry was late.")));
    ASSERT_TRUE((*file)->commit());
  }
  struct Way {
    std::string kernels, threads, chunk;
  };
#if defined(__aarch64__)
  const std::string common = "neon";
#else
  const std::string common = "avx2";
#endif
  std::string digest;
  for (const Way& way : {Way{"scalar", "2", "512"}, Way{"", "1", "7"}, Way{"", "2", "512"},
                         Way{common, "2", "1"}, Way{common, "1", "64"}}) {
    const Finished scored = run_thaw({"score", snapshot, "--text", text, "--threads", way.threads,
                                      "--chunk", way.chunk, "--json"},
                                     {"THAW_KERNELS=" + way.kernels});
    ASSERT_EQ(scored.code, 0) << scored.err;
    const json result = parsed(scored.out);
    if (!way.kernels.empty()) {
      EXPECT_EQ(result["kernels"], way.kernels);
    }
    if (digest.empty()) digest = result["digest"];
    EXPECT_EQ(result["digest"], digest) << way.kernels << " " << way.threads << " " << way.chunk;
  }
}

TEST(Tiny, ASmallCommittedModelAnswersToo) {
  Emulated emulated(snapshot_of(tiny_model()));
  const http::Response response =
      emulated.invoke(R"({"messages":[{"role":"user","content":"Hi"}],"max_tokens":8})");
  ASSERT_EQ(response.status, 200);
  EXPECT_TRUE(parsed(response.body).contains("text")) << response.body;
}

TEST(Tiny, ADamagedSnapshotIsAnInitErrorNotASilence) {
  const std::string path = cat(testing::TempDir(), "thaw-e2e-damaged.thaw");
  {
    auto file = system_files().create(path);
    ASSERT_TRUE((*file)->append(as_bytes(std::string(10'000, 'x'))));
    ASSERT_TRUE((*file)->commit());
  }
  Emulated emulated(path);
  const http::Response response = emulated.invoke("{}");
  EXPECT_TRUE(response.headers.has("x-amz-function-error"));
  EXPECT_NE(response.body.find("errorType"), std::string::npos) << response.body;
  unlink(path.c_str());
}

}  // namespace
}  // namespace thaw::end_to_end
