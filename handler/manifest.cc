#include "handler/manifest.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/str.h"
#include "handler/event/adapter.h"
#include "handler/event/utf8.h"
#include "handler/payload.h"

namespace thaw::handler {
namespace {

constexpr std::uint32_t kMagic = 0x464D4854;  // "THMF"
constexpr std::uint32_t kVersion = 2;
constexpr std::uint32_t kLogitBiasMax = 1024;  // as in requests

// Reads little-endian fields one after the other; a read past the end gives zeros and is
// remembered.
class FieldReader {
 public:
  explicit FieldReader(Bytes bytes) : bytes_(bytes) {}

  std::uint32_t u32() { return number<std::uint32_t>(); }
  std::uint64_t u64() { return number<std::uint64_t>(); }
  float f32() { return number<float>(); }
  std::string text() {
    const std::uint32_t size = u32();
    if (size > bytes_.size() - at_) {
      short_ = true;
      return {};
    }
    const Bytes piece = bytes_.subspan(at_, size);
    at_ += size;
    return std::string(as_text(piece));
  }
  bool whole() const { return !short_ && at_ == bytes_.size(); }
  bool fell_short() const { return short_; }

 private:
  template <class T>
  T number() {
    const std::optional<T> value = load_at<T>(bytes_, at_);
    if (!value) {
      short_ = true;
      return T{};
    }
    at_ += sizeof(T);
    return *value;
  }

  Bytes bytes_;
  std::size_t at_ = 0;
  bool short_ = false;
};

void append_text(std::vector<std::byte>& to, std::string_view text) {
  append(to, static_cast<std::uint32_t>(text.size()));
  const Bytes bytes = as_bytes(text);
  to.insert(to.end(), bytes.begin(), bytes.end());
}

Error out_of_range(std::string_view field, std::string_view wanted) {
  return fail(Code::kInvalid, cat("manifest '", field, "': wanted ", wanted));
}

bool has_control_character(std::string_view text) {
  for (const char letter : text) {
    if (static_cast<unsigned char>(letter) < 0x20 || letter == 0x7F) return true;
  }
  return false;
}

bool within(float value, float least, float most) {
  return std::isfinite(value) && value >= least && value <= most;
}

Result<Done> validate_sampling(const text::SamplerOptions& options) {
  if (!within(options.temperature, 0, 2)) return out_of_range("temperature", "0 to 2");
  if (options.top_k > 0x7FFFFFFF) return out_of_range("top_k", "0 to 2147483647");
  if (!within(options.top_p, 0, 1)) return out_of_range("top_p", "0 to 1");
  if (!within(options.min_p, 0, 1)) return out_of_range("min_p", "0 to 1");
  if (!within(options.repetition_penalty, 0.01f, 10)) {
    return out_of_range("repetition_penalty", "0.01 to 10");
  }
  if (!within(options.presence_penalty, -2, 2)) return out_of_range("presence_penalty", "-2 to 2");
  if (!within(options.frequency_penalty, -2, 2)) {
    return out_of_range("frequency_penalty", "-2 to 2");
  }
  if (options.logit_bias.size() > kLogitBiasMax) {
    return out_of_range("logit_bias", cat("at most ", kLogitBiasMax, " entries"));
  }
  for (const auto& [token, bias] : options.logit_bias) {
    if (!within(bias, -100, 100)) return out_of_range("logit_bias", "biases from -100 to 100");
  }
  return Done{};
}

Result<Done> validate_mapping(const SourceMapping& mapping) {
  const std::string field = cat("events.", mapping.source.substr(0, 64));
  if (mapping.source != "*" && event::find_record_source(mapping.source) == nullptr) {
    std::string names = "'*'";
    for (const event::Adapter* adapter : event::adapters()) {
      if (adapter->records != nullptr) names += cat(", '", adapter->source, "'");
    }
    return out_of_range("events", cat("sources among ", names));
  }
  if (mapping.use > SourceMapping::Use::kRequest ||
      (mapping.use == SourceMapping::Use::kContent) != mapping.path.empty() ||
      mapping.path.size() > kStepsMax) {
    return out_of_range(field, cat("a path of 1 to ", kStepsMax, " steps"));
  }
  for (const std::string& step : mapping.path) {
    if (step.size() > kStepBytesMax || !is_step(step)) {
      return out_of_range(field, cat("steps that are JSON Pointers of at most ", kStepBytesMax,
                                     " bytes, as '/request/prompt', or 'base64', 'gzip', 'json', "
                                     "'url', 'dynamodb'"));
    }
  }
  const std::string& directory = mapping.directory;
  if (!directory.empty() && (directory.front() != '/' || directory.size() > kDirectoryBytesMax ||
                             !event::is_utf8(directory) || has_control_character(directory))) {
    return out_of_range(cat(field, ".answer.directory"),
                        cat("an absolute path of at most ", kDirectoryBytesMax, " bytes"));
  }
  if (mapping.at_once < 1 || mapping.at_once > kAtOnceMax) {
    return out_of_range(cat(field, ".at_once"), cat("1 to ", kAtOnceMax));
  }
  return Done{};
}

}  // namespace

const SourceMapping* Manifest::mapping_of(std::string_view source) const {
  const SourceMapping* any = nullptr;
  for (const SourceMapping& mapping : events) {
    if (mapping.source == source) return &mapping;
    if (mapping.source == "*") any = &mapping;
  }
  return any;
}

Result<Done> validate(const Manifest& manifest) {
  if (manifest.name.empty() || manifest.name.size() > kNameBytesMax ||
      !event::is_utf8(manifest.name) || has_control_character(manifest.name)) {
    return out_of_range("name", cat("1 to ", kNameBytesMax, " bytes of printable UTF-8"));
  }
  if (manifest.task != "chat" && manifest.task != "complete") {
    return out_of_range("task", "'chat' or 'complete'");
  }
  if (manifest.system.size() > kSystemBytesMax || !event::is_utf8(manifest.system)) {
    return out_of_range("system", cat("at most ", kSystemBytesMax, " bytes of UTF-8"));
  }
  if (manifest.max_tokens_limit < 1 || manifest.max_tokens_limit > kTokensLimitMax) {
    return out_of_range("limits.max_tokens", cat("1 to ", kTokensLimitMax));
  }
  if (manifest.max_tokens < 1 || manifest.max_tokens > manifest.max_tokens_limit) {
    return out_of_range("defaults.max_tokens",
                        cat("1 to limits.max_tokens, ", manifest.max_tokens_limit));
  }
  if (manifest.event_bytes_max < 1024 || manifest.event_bytes_max > kEventBytesLimitMax) {
    return out_of_range("limits.event_bytes", cat("1024 to ", kEventBytesLimitMax));
  }
  if (manifest.events.size() > kMappingsMax) {
    return out_of_range("events", cat("at most ", kMappingsMax, " sources"));
  }
  for (std::size_t i = 0; i < manifest.events.size(); ++i) {
    THAW_TRY_DO(validate_mapping(manifest.events[i]));
    if (i > 0 && manifest.events[i - 1].source >= manifest.events[i].source) {
      return out_of_range("events", "each source once, ascending");
    }
  }
  return validate_sampling(manifest.sampling);
}

std::vector<std::byte> compile_manifest(const Manifest& manifest) {
  std::vector<std::byte> to;
  append(to, kMagic);
  append(to, kVersion);
  append(to, static_cast<std::uint32_t>((manifest.buffered ? 1 : 0) | (manifest.seeded ? 2 : 0)));
  append(to, manifest.max_tokens);
  append(to, manifest.max_tokens_limit);
  append(to, manifest.event_bytes_max);
  const text::SamplerOptions& sampling = manifest.sampling;
  append(to, sampling.temperature);
  append(to, sampling.top_k);
  append(to, sampling.top_p);
  append(to, sampling.min_p);
  append(to, sampling.repetition_penalty);
  append(to, sampling.presence_penalty);
  append(to, sampling.frequency_penalty);
  append(to, sampling.seed);
  append(to, static_cast<std::uint32_t>(sampling.logit_bias.size()));
  for (const auto& [token, bias] : sampling.logit_bias) {
    append(to, token);
    append(to, bias);
  }
  append_text(to, manifest.name);
  append_text(to, manifest.task);
  append_text(to, manifest.system);
  append(to, static_cast<std::uint32_t>(manifest.events.size()));
  for (const SourceMapping& mapping : manifest.events) {
    append_text(to, mapping.source);
    append(to, static_cast<std::uint32_t>(mapping.use));
    append(to, static_cast<std::uint32_t>(mapping.path.size()));
    for (const std::string& step : mapping.path) append_text(to, step);
    append_text(to, mapping.directory);
    append(to, mapping.at_once);
  }
  return to;
}

namespace {

SourceMapping read_mapping(FieldReader& from) {
  SourceMapping mapping;
  mapping.source = from.text();
  // What is out of range stays so, for validate() to find.
  mapping.use = static_cast<SourceMapping::Use>(std::min<std::uint32_t>(from.u32(), 255));
  const std::uint32_t steps = from.u32();
  for (std::uint32_t i = 0; i < steps && !from.fell_short(); ++i) {
    mapping.path.push_back(from.text());
  }
  mapping.directory = from.text();
  mapping.at_once = from.u32();
  return mapping;
}

}  // namespace

Result<Manifest> read_manifest(Bytes compiled) {
  FieldReader from(compiled);
  const std::uint32_t magic = from.u32();
  const std::uint32_t version = from.u32();
  if (from.fell_short() || magic != kMagic) {
    return fail(Code::kCorrupt,
                "read manifest: found other bytes, wanted a compiled manifest; "
                "freeze the snapshot anew");
  }
  if (version != kVersion) {
    return fail(Code::kUnsupported, cat("read manifest: version ", version, ", this build reads ",
                                        kVersion, "; freeze the snapshot anew"));
  }
  Manifest manifest;
  const std::uint32_t flags = from.u32();
  manifest.buffered = (flags & 1) != 0;
  manifest.seeded = (flags & 2) != 0;
  manifest.max_tokens = from.u32();
  manifest.max_tokens_limit = from.u32();
  manifest.event_bytes_max = from.u32();
  text::SamplerOptions& sampling = manifest.sampling;
  sampling.temperature = from.f32();
  sampling.top_k = from.u32();
  sampling.top_p = from.f32();
  sampling.min_p = from.f32();
  sampling.repetition_penalty = from.f32();
  sampling.presence_penalty = from.f32();
  sampling.frequency_penalty = from.f32();
  sampling.seed = from.u64();
  const std::uint32_t biases = from.u32();
  for (std::uint32_t i = 0; i < biases && !from.fell_short(); ++i) {
    const text::Token token = from.u32();
    sampling.logit_bias[token] = from.f32();
  }
  manifest.name = from.text();
  manifest.task = from.text();
  manifest.system = from.text();
  const std::uint32_t mappings = from.u32();
  for (std::uint32_t i = 0; i < mappings && !from.fell_short(); ++i) {
    manifest.events.push_back(read_mapping(from));
  }
  if (!from.whole() || flags > 3 || sampling.logit_bias.size() != biases) {
    return fail(Code::kCorrupt, cat("read manifest: ", compiled.size(),
                                    " bytes do not fit its fields; freeze the snapshot anew"));
  }
  if (const Result<Done> valid = validate(manifest); !valid) {
    return fail(Code::kCorrupt, cat("read ", valid.error().message));
  }
  return manifest;
}

}  // namespace thaw::handler
