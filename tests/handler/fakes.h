// Stand-ins for what a Handler is given: a generator that says what it is told to and remembers
// what it was asked, and a responder that keeps what it was sent.
#pragma once

#include <gtest/gtest.h>
#include <atomic>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "handler/generator.h"
#include "handler/handler.h"

namespace thaw::handler {

class FakeGenerator final : public Generator {
 public:
  std::vector<std::string> pieces = {"Hello", ", ", "world"};
  FinishReason finish_reason = FinishReason::kStop;
  Usage usage = {7, 3, 2, 0};
  std::optional<Error> error;          // instead of an answer
  std::size_t error_after_pieces = 0;  // how many pieces come before it
  std::function<void(const GenerationRequest&)> on_generate;
  std::function<void(std::size_t piece)> before_piece;
  std::size_t reasoning_pieces = 0;              // how many of the first are thought
  std::vector<std::vector<ScoredToken>> scores;  // of each piece, where asked for

  std::vector<GenerationRequest> requests;
  std::size_t pieces_taken = 0;
  std::vector<std::size_t> together;  // how many each call of generate_all() had

  Result<Generation> generate(const GenerationRequest& request, const TextSink& sink) override {
    requests.push_back(request);
    if (on_generate) on_generate(request);
    Generation generation;
    generation.finish_reason = finish_reason;
    generation.usage = usage;
    generation.phases.tokenise = std::chrono::microseconds(120);
    generation.phases.prefix = std::chrono::microseconds(750);
    generation.phases.prefill = std::chrono::microseconds(4500);
    generation.phases.decode = std::chrono::microseconds(31250);
    std::size_t sent = 0;
    for (const std::string& piece : pieces) {
      if (error && sent == error_after_pieces) return *error;
      if (before_piece) before_piece(sent);
      if (request.wanted && !request.wanted()) {
        generation.finish_reason = FinishReason::kCancelled;
        return generation;
      }
      ++pieces_taken;
      const bool thought = sent < reasoning_pieces;
      const bool scored = request.logprobs && sent < scores.size();
      if (!sink({piece, thought, scored ? scores[sent] : std::vector<ScoredToken>{}})) {
        generation.finish_reason = FinishReason::kCancelled;
        return generation;
      }
      ++sent;
    }
    if (error) return *error;
    return generation;
  }
  std::vector<Result<Generation>> generate_all(std::span<const Job> jobs) override {
    if (!jobs.empty()) together.push_back(jobs.size());
    return Generator::generate_all(jobs);
  }
  std::string_view model_name() const override { return "tiny"; }
  std::uint32_t context_tokens() const override { return 64; }
};

class FakeResponder final : public Responder {
 public:
  bool streams = true;
  bool is_alive = true;
  std::optional<Error> begin_error;
  std::optional<Error> write_error;
  std::size_t writes_before_error = 0;

  std::optional<StreamHead> head;
  std::vector<std::string> writes;

  bool can_stream() const override { return streams; }
  Result<Done> begin(const StreamHead& with) override {
    EXPECT_FALSE(head.has_value()) << "a stream begins once";
    head = with;
    if (begin_error) return *begin_error;
    return Done{};
  }
  bool alive() override { return is_alive; }
  Result<Done> write(std::string_view bytes) override {
    EXPECT_TRUE(head.has_value()) << "a stream begins before it is written";
    if (write_error && writes.size() == writes_before_error) return *write_error;
    writes.emplace_back(bytes);
    return Done{};
  }
  std::string text() const {
    std::string all;
    for (const std::string& write : writes) all += write;
    return all;
  }
};

// A handler with everything it needs, and the last outcome.
struct House {
  FakeGenerator generator;
  Manifest manifest;
  ManualClock clock;
  FakeResponder responder;
  std::string request_id = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";
  std::optional<Clock::Monotonic> deadline;
  const std::atomic<bool>* hurry = nullptr;

  const Gate* gate = nullptr;

  Outcome handle(std::string_view event) {
    Handler handler(generator, manifest, clock, {gate, nullptr});
    return handler.handle(event, {request_id, deadline, hurry}, responder);
  }
};

std::string read_sample(const std::string& path);  // below tests/data/events

// The event that a Function URL makes of a request, body as it stands.
std::string url_event(std::string_view method, std::string_view path, std::string_view body,
                      std::string_view content_type = "application/json");

// What stands at a JSON Pointer in a text, as JSON; "" where nothing does. Read by another reader
// than ours, and behind a function because that reader compiles slowly.
std::string at(const std::string& text, const std::string& pointer);

// The answer to an HTTP event, as a client sees it.
struct HttpAnswer {
  int status = 0;
  std::map<std::string, std::string> headers;
  std::string body;
};
HttpAnswer answer_of(const Outcome& outcome);

}  // namespace thaw::handler
