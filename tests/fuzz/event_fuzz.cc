// Fuzzes the handler with events: every adapter, request shape and answer shape, around a generator
// that repeats what it was asked. Each input runs buffered and streamed, and as a manifest, in both
// of its forms.
#include <algorithm>

#include "base/check.h"
#include "base/clock.h"
#include "handler/event/cbor.h"
#include "handler/event/inflate.h"
#include "handler/event/json.h"
#include "handler/event/utf8.h"
#include "handler/handler.h"

namespace {

using namespace thaw;
using namespace thaw::handler;

// Says the prompt back, piece by piece: what strangers write comes out through every writer.
class Echo final : public Generator {
 public:
  Result<Generation> generate(const GenerationRequest& request, const TextSink& sink) override {
    THAW_CHECK(request.max_tokens.has_value() && *request.max_tokens >= 1);
    THAW_CHECK(request.sampling.temperature >= 0 && request.sampling.temperature <= 2);
    const auto say = [&](std::string_view piece) {
      const std::size_t half = piece.size() / 2;  // may cut a character in two
      return sink({piece.substr(0, half)}) && sink({piece.substr(half)});
    };
    bool wanted = true;
    if (const auto* prompt = std::get_if<std::string>(&request.prompt)) {
      wanted = say(*prompt);
    } else {
      for (const text::Message& message : std::get<std::vector<text::Message>>(request.prompt)) {
        wanted = wanted && say(message.content);
      }
    }
    Generation generation;
    generation.finish_reason = wanted ? FinishReason::kStop : FinishReason::kCancelled;
    if (request.stop.size() > 3) return fail(Code::kCorrupt, "four stops break it");
    return generation;
  }
  std::string_view model_name() const override { return "echo"; }
  std::uint32_t context_tokens() const override { return 64; }
};

class Collector final : public Responder {
 public:
  explicit Collector(bool streams) : streams_(streams) {}
  bool can_stream() const override { return streams_; }
  Result<Done> begin(const StreamHead&) override {
    THAW_CHECK(streams_ && !begun_);
    begun_ = true;
    return Done{};
  }
  Result<Done> write(std::string_view bytes) override {
    THAW_CHECK(begun_);
    text_ += bytes;
    return Done{};
  }
  bool begun() const { return begun_; }
  const std::string& text() const { return text_; }

 private:
  bool streams_;
  bool begun_ = false;
  std::string text_;
};

// "Function." and a word in letters, the first of them large.
void check_error(const InvocationError& error) {
  constexpr std::string_view kCategory = "Function.";
  THAW_CHECK(error.type.starts_with(kCategory) && error.type.size() > kCategory.size() + 1);
  for (std::size_t i = kCategory.size(); i < error.type.size(); ++i) {
    const char letter = error.type[i];
    const bool large = letter >= 'A' && letter <= 'Z';
    THAW_CHECK(large || (i > kCategory.size() && letter >= 'a' && letter <= 'z'));
  }
  THAW_CHECK(error.message.find('\n') == std::string::npos);
  THAW_CHECK(error.message.size() < 2048);
  THAW_CHECK(event::is_utf8(error.message));
}

void check_http_answer(const json::Value& answer) {
  const auto status = answer["statusCode"].as_int64();
  if (!status) return;
  THAW_CHECK(*status == 200 || *status == 204 || (*status >= 400 && *status <= 415) ||
             *status == 500);
  const std::string_view body = answer["body"].text();
  if (*status >= 400) {
    const auto error = json::Document::parse(body);
    THAW_CHECK(body.empty() || (error && error->root()["error"]["message"].is_string()));
  }
}

void run_once(std::string_view bytes, bool streams) {
  Echo generator;
  Manifest manifest;
  manifest.system = "S";
  if (!streams) {
    manifest.events = {{"*", SourceMapping::Use::kContent, {}, "", 3},
                       {"aws:kinesis",
                        SourceMapping::Use::kPrompt,
                        {"/kinesis/data", "base64", "gzip", "json", "/a"},
                        "",
                        1},
                       {"aws:sqs", SourceMapping::Use::kRequest, {"/body", "json", "/r"}, "", 1}};
  }
  ManualClock clock;
  Collector responder(streams);
  Handler handler(generator, manifest, clock);
  const Outcome outcome = handler.handle(bytes, {"id", std::nullopt}, responder);
  THAW_CHECK(outcome.streamed == responder.begun());
  if (outcome.error) check_error(*outcome.error);
  if (outcome.streamed) {
    THAW_CHECK(outcome.body.empty() && responder.text().ends_with('\n'));
    THAW_CHECK(event::is_utf8(responder.text()));
  } else if (outcome.error) {
    THAW_CHECK(outcome.body.empty());
  } else {
    const auto answer = json::Document::parse(outcome.body);
    THAW_CHECK(answer.has_value());
    check_http_answer(answer->root());
  }
}

// A request as a server of ours would hand it on: a line of headers, then the body. What it is
// answered with can go out as HTTP.
void run_http(std::string_view bytes) {
  Echo generator;
  Manifest manifest;
  ManualClock clock;
  Collector responder(true);
  Handler handler(generator, manifest, clock);
  event::HttpRequest request;
  request.method = "POST";
  request.paths = {"/"};
  const std::size_t line = std::min(bytes.find('\n'), bytes.size());
  std::string_view head = bytes.substr(0, line);
  while (!head.empty()) {
    const std::string_view field = head.substr(0, head.find(';'));
    head.remove_prefix(std::min(field.size() + 1, head.size()));
    const std::size_t colon = std::min(field.find(':'), field.size());
    request.headers.emplace_back(field.substr(0, colon),
                                 field.substr(std::min(colon + 1, field.size())));
  }
  request.body = bytes.substr(std::min(line + 1, bytes.size()));
  const HttpOutcome outcome = handler.handle_http(request, {"id", std::nullopt}, responder);
  THAW_CHECK(!outcome.error && !outcome.streamed);
  const event::HttpResponse& response = outcome.response;
  THAW_CHECK(response.status == 200 || (response.status >= 400 && response.status <= 504));
  THAW_CHECK(json::Document::parse(response.body).has_value());
  for (const auto& [name, value] : response.headers) {
    for (const char letter : name + value) {
      THAW_CHECK(static_cast<unsigned char>(letter) >= 0x20 && letter != 0x7F);
    }
  }
}

// What unpacks and converts is bounded, and is JSON where it says so.
void run_decoders(std::string_view bytes) {
  constexpr std::size_t kMost = 1 << 16;
  const Result<std::string> unpacked = event::gunzip(bytes, kMost);
  THAW_CHECK(!unpacked || unpacked->size() <= kMost);
  const Result<std::string> json = event::cbor_to_json(bytes);
  THAW_CHECK(!json || json::Document::parse(*json).has_value());
}

// What is read can be written, and is then read as the same.
void check_manifest(const Result<Manifest>& manifest) {
  if (!manifest) {
    THAW_CHECK(manifest.error().message.find('\n') == std::string::npos);
    return;
  }
  THAW_CHECK(validate(*manifest).has_value());
  const std::vector<std::byte> compiled = compile_manifest(*manifest);
  const Result<Manifest> again = read_manifest(compiled);
  THAW_CHECK(again.has_value() && compile_manifest(*again) == compiled);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  run_once(bytes, /*streams=*/false);
  run_once(bytes, /*streams=*/true);
  run_http(bytes);
  run_decoders(bytes);
  check_manifest(parse_manifest(bytes));
  check_manifest(read_manifest(as_bytes(bytes)));
  return 0;
}
