// Reads a Hugging Face model directory: config.json, safetensors, tokenizer.json, templates.

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/str.h"
#include "handler/freeze/hf_tokenizer.h"
#include "handler/freeze/rope.h"
#include "handler/freeze/source.h"
#include "handler/freeze/tensor_names.h"
#include "kernels/kernels.h"
#include "snapshot/name.h"
#include "snapshot/safetensors/safetensors.h"

namespace thaw::freeze {
namespace {

using model::Role;
using nlohmann::json;

constexpr std::uint64_t kConfigBytesMax = 1 << 20;
constexpr std::uint64_t kTokenizerBytesMax = 256 << 20;  // the largest published are 35 MB

constexpr int kDepthMax = 32;  // deeper values are dropped: nothing this reads lies that deep

class HfSource final : public ModelSource {
 public:
  Result<Done> open(Files& files, const std::string& directory) {
    directory_ = directory;
    format = "Hugging Face";
    THAW_TRY(text, read_text(files, directory + "/config.json", kConfigBytesMax));
    const auto shallow = [](int depth, json::parse_event_t, json&) { return depth <= kDepthMax; };
    config_ = json::parse(text, shallow, /*allow_exceptions=*/false);
    if (!config_.is_object() || text.find('\0') != std::string::npos) {
      return corrupt("config.json: not a JSON object");
    }
    const std::size_t slash = directory.find_last_not_of('/');
    const std::string trimmed = directory.substr(0, slash + 1);
    name = trimmed.substr(trimmed.rfind('/') + 1);
    THAW_TRY_DO(read_sizes());
    THAW_TRY_DO(read_rope());
    THAW_TRY(model, safetensors::Model::open(files, directory));
    model_ = std::move(model);
    THAW_TRY_DO(read_tensors());
    return read_texts(files, std::move(text));
  }

 private:
  Error corrupt(std::string what) const {
    return fail(Code::kCorrupt, cat("import '", directory_, "': ", what));
  }
  Error unsupported(std::string what) const {
    return fail(Code::kUnsupported, cat("import '", directory_, "': ", what));
  }

  Result<std::uint32_t> size(const char* key, std::optional<std::uint32_t> otherwise) const {
    const auto found = config_.find(key);
    if (found == config_.end() || found->is_null()) {
      if (otherwise) return *otherwise;
      return corrupt(cat("config.json: '", key, "' is missing"));
    }
    if (!found->is_number_unsigned() || found->get<std::uint64_t>() > UINT32_MAX) {
      return corrupt(cat("config.json: '", key, "' is no size"));
    }
    return found->get<std::uint32_t>();
  }

  static std::optional<double> number(const json& object, const char* key) {
    const auto found = object.find(key);
    if (found == object.end() || !found->is_number()) return std::nullopt;
    return found->get<double>();
  }

  bool flag(const char* key) const {
    const auto found = config_.find(key);
    return found != config_.end() && found->is_boolean() && found->get<bool>();
  }

  Result<Done> read_sizes();
  Result<Done> read_rope();
  Result<Done> read_tensors();
  Result<Done> read_tensor(const safetensors::Tensor& tensor);
  Result<Done> read_texts(Files& files, std::string config_text);

  std::string directory_;
  json config_;
  std::unique_ptr<safetensors::Model> model_;
};

Result<Done> HfSource::read_sizes() {
  const auto type = config_.find("model_type");
  const std::string arch =
      type != config_.end() && type->is_string() ? type->get<std::string>() : "";
  model::Config& c = config;
  if (arch == "llama") c.architecture = 1;
  if (arch == "qwen2") c.architecture = 2;
  if (arch == "qwen3") c.architecture = 3;
  if (c.architecture == 0) {
    return unsupported(cat("model_type ", snapshot::quote(arch),
                           ", this build evaluates llama, qwen2 and qwen3"));
  }
  if (flag("use_sliding_window")) return unsupported("sliding-window attention");
  const auto activation = config_.find("hidden_act");
  if (activation != config_.end() && *activation != "silu") {
    return unsupported(cat("hidden_act ", activation->dump(), ", this build evaluates silu"));
  }
  c.version = model::kModelVersion;
  c.arithmetic_version = kernels::kArithmeticVersion;
  THAW_TRY(layers, size("num_hidden_layers", std::nullopt));
  THAW_TRY(dim, size("hidden_size", std::nullopt));
  THAW_TRY(heads, size("num_attention_heads", std::nullopt));
  if (heads == 0) return corrupt("config.json: no attention heads");
  THAW_TRY(kv_heads, size("num_key_value_heads", heads));
  // Qwen3 has heads of 128 where its config does not say.
  THAW_TRY(head_dim, size("head_dim", c.architecture == 3 ? 128 : dim / heads));
  THAW_TRY(ffn_dim, size("intermediate_size", std::nullopt));
  THAW_TRY(vocabulary, size("vocab_size", std::nullopt));
  THAW_TRY(context, size("max_position_embeddings", std::nullopt));
  if (head_dim == 0) return corrupt("config.json: 'head_dim' is 0");
  c.layers = layers;
  c.dim = dim;
  c.heads = heads;
  c.kv_heads = kv_heads;
  c.head_dim = head_dim;
  c.value_dim = head_dim;
  c.ffn_dim = ffn_dim;
  c.vocabulary = vocabulary;
  c.context_tokens = context;
  c.rms_epsilon = static_cast<float>(number(config_, "rms_norm_eps").value_or(1e-6));
  c.attention_scale = static_cast<float>(1 / std::sqrt(static_cast<double>(head_dim)));
  return Done{};
}

Result<Done> HfSource::read_rope() {
  // Configs of transformers 5 keep base and scaling together in rope_parameters.
  json scaling_json = json::object();
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const auto found = config_.find(key);
    if (found != config_.end() && found->is_object()) scaling_json = *found;
  }
  const double base =
      number(config_, "rope_theta").value_or(number(scaling_json, "rope_theta").value_or(10000));
  const double partial = number(config_, "partial_rotary_factor")
                             .value_or(number(scaling_json, "partial_rotary_factor").value_or(1));
  if (!(partial > 0 && partial <= 1)) return corrupt("config.json: 'partial_rotary_factor'");
  const auto dims = static_cast<std::uint32_t>(config.head_dim * partial);
  if (dims == 0 || dims % 2 != 0) return corrupt(cat("config.json: ", dims, " rotated dimensions"));

  std::string type = "default";
  for (const char* key : {"type", "rope_type"}) {
    const auto found = scaling_json.find(key);
    if (found != scaling_json.end() && found->is_string()) type = found->get<std::string>();
  }
  RopeScaling scaling;
  scaling.factor = number(scaling_json, "factor").value_or(1);
  scaling.original_context =
      number(scaling_json, "original_max_position_embeddings").value_or(config.context_tokens);
  if (type == "linear") {
    scaling.type = RopeScaling::Type::kLinear;
  } else if (type == "llama3") {
    scaling.type = RopeScaling::Type::kLlama3;
    scaling.low_frequency_factor = number(scaling_json, "low_freq_factor").value_or(1);
    scaling.high_frequency_factor = number(scaling_json, "high_freq_factor").value_or(4);
  } else if (type == "yarn") {
    scaling.type = RopeScaling::Type::kYarn;
    scaling.beta_fast = number(scaling_json, "beta_fast").value_or(32);
    scaling.beta_slow = number(scaling_json, "beta_slow").value_or(1);
    scaling.attention_factor = number(scaling_json, "attention_factor");
  } else if (type != "default") {
    return unsupported(
        cat("rope scaling ", snapshot::quote(type),
            ", this build knows default, linear, llama3 and yarn"));
  }
  THAW_TRY(rope, make_rope(dims, base, scaling, {}));
  config.rope_pairs = dims / 2;
  config.rope_interleaved = 0;
  config.rope_factor = rope.factor;
  rope_turns = std::move(rope.turns);
  return Done{};
}

Result<Done> HfSource::read_tensors() {
  for (const safetensors::Tensor& tensor : model_->tensors()) THAW_TRY_DO(read_tensor(tensor));
  if (flag("tie_word_embeddings")) {
    std::erase_if(tensors, [](const SourceTensor& tensor) { return tensor.role == Role::kOutput; });
  }
  return Done{};
}

Result<Done> HfSource::read_tensor(const safetensors::Tensor& tensor) {
  SourceTensor to;
  to.name = tensor.name;
  to.bytes = tensor.bytes;
  switch (tensor.type) {
    case safetensors::Type::kF32: to.type = gguf::Type::kF32; break;
    case safetensors::Type::kF16: to.type = gguf::Type::kF16; break;
    case safetensors::Type::kBf16: to.type = gguf::Type::kBf16; break;
    case safetensors::Type::kF64: to.type = gguf::Type::kF64; break;
    default:
      return unsupported(cat("tensor ", snapshot::quote(tensor.name),
                             ": an element type that is none of F64, F32, F16, BF16; freeze the "
                             "model's original weights"));
  }
  if (tensor.shape.empty() || tensor.shape.size() > 2) {
    return unsupported(
        cat("tensor ", snapshot::quote(tensor.name), " has ", tensor.shape.size(),
            " dimensions, wanted 1 or 2"));
  }
  to.cols = tensor.shape.back();
  to.rows = tensor.shape.size() == 2 ? tensor.shape[0] : 1;
  const auto place = find_tensor(kHuggingFaceNames, tensor.name);
  // A tensor this build would silently leave out changes the model: refuse it.
  if (!place) {
    return unsupported(
        cat("tensor ", snapshot::quote(tensor.name),
            ", not part of a plain llama, qwen2 or qwen3 model"));
  }
  if (place->is_derived) return Done{};
  to.role = place->role;
  to.layer = place->layer;
  tensors.push_back(std::move(to));
  return Done{};
}

Result<Done> HfSource::read_texts(Files& files, std::string config_text) {
  // Files that may be missing; every other failure counts.
  const auto optional_text = [&](const char* file) -> Result<std::string> {
    auto text = read_text(files, cat(directory_, "/", file), kTokenizerBytesMax);
    if (!text && text.error().code == Code::kNotFound) return std::string();
    return text;
  };
  HfTokenizerFiles texts;
  texts.config = std::move(config_text);
  THAW_TRY(tokenizer_text, optional_text("tokenizer.json"));
  THAW_TRY(tokenizer_config, optional_text("tokenizer_config.json"));
  THAW_TRY(generation_config, optional_text("generation_config.json"));
  THAW_TRY(jinja, optional_text("chat_template.jinja"));
  texts.tokenizer = std::move(tokenizer_text);
  texts.tokenizer_config = std::move(tokenizer_config);
  texts.generation_config = std::move(generation_config);
  texts.chat_template = std::move(jinja);
  auto read = read_hf_tokenizer(texts);
  if (!read) {
    return fail(read.error().code, cat("import '", directory_, "': ", read.error().message));
  }
  tokenizer = std::move(read->source);
  chat_template = std::move(read->chat_template);
  return Done{};
}

}  // namespace

Result<std::unique_ptr<ModelSource>> open_hugging_face(Files& files, const std::string& directory) {
  auto source = std::make_unique<HfSource>();
  THAW_TRY_DO(source->open(files, directory));
  return std::unique_ptr<ModelSource>(std::move(source));
}

}  // namespace thaw::freeze
