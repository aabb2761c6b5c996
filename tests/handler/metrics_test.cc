// What /metrics says, and what it counts.
#include "handler/metrics.h"

#include <gtest/gtest.h>

#include <set>

#include "base/str.h"
#include "fakes.h"

namespace thaw::handler {
namespace {

using namespace std::chrono_literals;

// The value of a sample, by its whole name; -1 where there is none.
double sample(const std::string& text, const std::string& name) {
  const std::size_t at = text.find("\n" + name + " ");
  return at == std::string::npos ? -1 : std::stod(text.substr(at + name.size() + 2));
}

TEST(Metrics, AnInstanceThatDidNothingHasCountersAtZero) {
  const std::string text = Metrics().text({});
  EXPECT_EQ(sample(text, "thaw_invocations_in_flight"), 0);
  EXPECT_EQ(sample(text, "thaw_prompt_tokens_total"), 0);
  EXPECT_EQ(sample(text, "thaw_generation_seconds_bucket{le=\"+Inf\"}"), 0);
  EXPECT_EQ(sample(text, "thaw_generation_seconds_count"), 0);
}

TEST(Metrics, CountsGenerationsTokensAndTimes) {
  Metrics metrics;
  Generation generation;
  generation.usage = {100, 5, 64, 3};
  generation.phases.decode = 50ms;
  metrics.generated(generation, {30ms, 80ms});
  generation.finish_reason = FinishReason::kLength;
  metrics.generated(generation, {1ms, 200s});
  metrics.generation_failed(Code::kLimit);
  const std::string text = metrics.text({});
  EXPECT_EQ(sample(text, "thaw_generations_total{finish_reason=\"stop\"}"), 1);
  EXPECT_EQ(sample(text, "thaw_generations_total{finish_reason=\"length\"}"), 1);
  EXPECT_EQ(sample(text, "thaw_generation_errors_total{code=\"limit\"}"), 1);
  EXPECT_EQ(sample(text, "thaw_prompt_tokens_total"), 200);
  EXPECT_EQ(sample(text, "thaw_cached_tokens_total"), 128);
  EXPECT_EQ(sample(text, "thaw_completion_tokens_total"), 10);
  EXPECT_EQ(sample(text, "thaw_reasoning_tokens_total"), 6);
  EXPECT_EQ(sample(text, "thaw_time_per_output_token_seconds_bucket{le=\"0.01\"}"), 2);
  EXPECT_EQ(sample(text, "thaw_time_per_output_token_seconds_bucket{le=\"0.005\"}"), 0);
  EXPECT_EQ(sample(text, "thaw_time_to_first_text_seconds_bucket{le=\"0.001\"}"), 1)
      << "a bound belongs to its bucket";
  EXPECT_EQ(sample(text, "thaw_time_to_first_text_seconds_bucket{le=\"0.05\"}"), 2);
  EXPECT_EQ(sample(text, "thaw_generation_seconds_bucket{le=\"160\"}"), 1);
  EXPECT_EQ(sample(text, "thaw_generation_seconds_bucket{le=\"+Inf\"}"), 2);
  EXPECT_NEAR(sample(text, "thaw_generation_seconds_sum"), 200.08, 1e-9);
}

// Names, types and lines as Prometheus' text format 0.0.4 has them.
TEST(Metrics, TheTextIsWellFormed) {
  Metrics metrics;
  metrics.invocation_began();
  metrics.invocation_ended("direct", false);
  metrics.http_answered("/predict", 404);
  metrics.generated({}, {1s, 2s});
  const Gauge gauges[] = {{"thaw_start_seconds", "Phases of the start.", "phase=\"map\"", 0.25},
                          {"thaw_start_seconds", "Phases of the start.", "phase=\"plan\"", 1},
                          {"thaw_queue_length", "Requests that wait.", "", 3}};
  const std::string text = metrics.text(gauges);
  ASSERT_TRUE(text.ends_with("\n"));
  std::set<std::string> typed;
  std::string current;
  for (std::size_t from = 0; from < text.size();) {
    const std::size_t end = text.find('\n', from);
    const std::string line = text.substr(from, end - from);
    from = end + 1;
    if (line.starts_with("# HELP ")) {
      current = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_TRUE(typed.insert(current).second) << current << " comes twice";
    } else if (line.starts_with("# TYPE ")) {
      EXPECT_TRUE(line.starts_with("# TYPE " + current + " ")) << line;
    } else {
      EXPECT_TRUE(line.starts_with(current)) << line;
      EXPECT_NO_THROW((void)std::stod(line.substr(line.rfind(' ')))) << line;
    }
  }
  EXPECT_EQ(sample(text, "thaw_invocations_total{source=\"direct\",outcome=\"ok\"}"), 1);
  EXPECT_EQ(sample(text, "thaw_http_responses_total{route=\"/predict\",status=\"404\"}"), 1);
  EXPECT_EQ(sample(text, "thaw_start_seconds{phase=\"map\"}"), 0.25);
  EXPECT_EQ(sample(text, "thaw_queue_length"), 3);
}

TEST(Metrics, AHandlerCountsWhatItAnswers) {
  House house;
  Handler handler(house.generator, house.manifest, house.clock);
  const InvocationContext context{house.request_id, std::nullopt};
  const auto ask = [&](std::string_view event) {
    return handler.handle(event, context, house.responder);
  };
  (void)ask(R"({"prompt":"secret words"})");
  (void)ask("not json");
  (void)ask(url_event("POST", "/v1/chat/completions", "{}"));
  (void)ask(url_event("GET", "/nowhere-secret", ""));
  const HttpAnswer answer = answer_of(ask(url_event("GET", "/metrics", "")));
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers.at("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  const std::string& text = answer.body;
  EXPECT_EQ(sample(text, "thaw_invocations_total{source=\"direct\",outcome=\"ok\"}"), 1);
  EXPECT_EQ(sample(text, "thaw_invocations_total{source=\"unknown\",outcome=\"failed\"}"), 1);
  EXPECT_EQ(sample(text, "thaw_invocations_total{source=\"function-url\",outcome=\"ok\"}"), 2);
  EXPECT_EQ(
      sample(text, "thaw_http_responses_total{route=\"/v1/chat/completions\",status=\"400\"}"), 1);
  EXPECT_EQ(sample(text, "thaw_http_responses_total{route=\"other\",status=\"404\"}"), 1);
  EXPECT_EQ(sample(text, "thaw_invocations_in_flight"), 1) << "this one";
  EXPECT_EQ(sample(text, "thaw_prompt_tokens_total"), 7);
  EXPECT_EQ(text.find("secret"), std::string::npos);
}

}  // namespace
}  // namespace thaw::handler
