#include "snapshot/safetensors/parse.h"

#include <algorithm>
#include <exception>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/str.h"
#include "snapshot/name.h"

namespace thaw::safetensors {
namespace {

using nlohmann::json;
using snapshot::quote;

struct TypeName {
  Type type;
  std::string_view name;
  std::size_t bytes;
};

constexpr TypeName kTypes[] = {
    {Type::kF32, "F32", 4},        {Type::kF16, "F16", 2},        {Type::kBf16, "BF16", 2},
    {Type::kF64, "F64", 8},        {Type::kI64, "I64", 8},        {Type::kI32, "I32", 4},
    {Type::kI16, "I16", 2},        {Type::kI8, "I8", 1},          {Type::kU8, "U8", 1},
    {Type::kBool, "BOOL", 1},      {Type::kF8E4m3, "F8_E4M3", 1}, {Type::kF8E5m2, "F8_E5M2", 1},
    {Type::kF8E8m0, "F8_E8M0", 1}, {Type::kU16, "U16", 2},        {Type::kU32, "U32", 4},
    {Type::kU64, "U64", 8},
};

const TypeName& row_of(Type type) {
  return *std::find_if(std::begin(kTypes), std::end(kTypes) - 1,
                       [type](const TypeName& row) { return row.type == type; });
}

// Refuses whatever a subclass does not take. Callbacks return false to stop; error() says why.
class StrictSax : public nlohmann::json_sax<json> {
 public:
  explicit StrictSax(const std::string& path) : path_(path) {}

  // What stopped the parser, or a subclass's own findings after the end.
  std::optional<Error> error;

  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a truth value"); }
  bool number_integer(number_integer_t) override { return unexpected("a negative number"); }
  bool number_unsigned(number_unsigned_t) override { return unexpected("a number"); }
  bool number_float(number_float_t, const string_t&) override { return unexpected("a fraction"); }
  bool string(string_t&) override { return unexpected("a string"); }
  bool binary(binary_t&) override { return unexpected("binary data"); }
  bool start_object(std::size_t) override { return unexpected("an object"); }
  bool key(string_t&) override { return unexpected("a key"); }
  bool end_object() override { return unexpected("the end of an object"); }
  bool start_array(std::size_t) override { return unexpected("an array"); }
  bool end_array() override { return unexpected("the end of an array"); }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    return stop(Code::kCorrupt, cat("no JSON from byte ", position));
  }

  bool stop(Code code, std::string_view found, std::string_view remedy = "fetch the file again") {
    error = fail(code, cat("open ", quote(path_), ": ", found, "; ", remedy));
    return false;
  }

 protected:
  virtual std::string where() const = 0;

  bool unexpected(std::string_view what) {
    return stop(Code::kCorrupt, cat(where(), ": ", what, " is not expected here"));
  }

 private:
  const std::string& path_;
};

// Runs `text` through `sax`; exceptions of the library end here.
Result<Done> run(StrictSax& sax, std::string_view text) {
  // The library takes a zero byte for the end and passes over whatever follows it.
  if (text.find('\0') != std::string_view::npos) {
    sax.stop(Code::kCorrupt, "no JSON: it has a zero byte");
    return *sax.error;
  }
  try {
    const bool parsed = json::sax_parse(text.begin(), text.end(), &sax);
    if (!parsed && !sax.error) sax.stop(Code::kCorrupt, "no JSON");
  } catch (const std::exception&) {
    sax.stop(Code::kCorrupt, "no JSON that can be read");
  }
  if (sax.error) return *sax.error;
  return Done{};
}

// {"__metadata__": {text: text}, tensor: {"dtype": ..., "shape": [...], "data_offsets": [...]}}
class HeaderSax final : public StrictSax {
 public:
  using StrictSax::StrictSax;

  std::vector<Stated> tensors;

  bool key(string_t& name) override;
  bool string(string_t& text) override;
  bool number_unsigned(number_unsigned_t number) override;
  bool start_object(std::size_t) override;
  bool end_object() override;
  bool start_array(std::size_t) override;
  bool end_array() override;

 private:
  enum class Place { kBefore, kTop, kMetadata, kTensor, kShape, kOffsets };
  enum class Field { kNone, kType, kShape, kOffsets };

  std::string where() const override {
    return tensors.empty() ? "header" : cat("tensor ", quote(tensors.back().name));
  }
  bool corrupt(std::string_view found) { return stop(Code::kCorrupt, cat(where(), ": ", found)); }
  bool begin_field(Field field, bool& had);
  bool end_tensor();

  Place place_ = Place::kBefore;
  Field field_ = Field::kNone;
  bool is_metadata_ = false;  // the key read last at the top is __metadata__
  bool had_metadata_ = false;
  bool had_type_ = false;
  bool had_shape_ = false;
  bool had_offsets_ = false;
  std::vector<std::uint64_t> offsets_;
  std::vector<std::string> metadata_keys_;
};

bool HeaderSax::key(string_t& name) {
  field_ = Field::kNone;
  if (place_ == Place::kMetadata) {
    metadata_keys_.push_back(std::move(name));
    return true;
  }
  if (place_ == Place::kTop) {
    is_metadata_ = name == "__metadata__";
    if (!is_metadata_) {
      tensors.emplace_back().name = std::move(name);
      return true;
    }
    if (had_metadata_) return corrupt("__metadata__ is there twice");
    had_metadata_ = true;
    return true;
  }
  if (name == "dtype") return begin_field(Field::kType, had_type_);
  if (name == "shape") return begin_field(Field::kShape, had_shape_);
  if (name == "data_offsets") return begin_field(Field::kOffsets, had_offsets_);
  return corrupt(cat("key ", quote(name), ", only dtype, shape and data_offsets can be"));
}

bool HeaderSax::begin_field(Field field, bool& had) {
  field_ = field;
  if (had) return corrupt("a field is there twice");
  had = true;
  return true;
}

bool HeaderSax::string(string_t& text) {
  if (place_ == Place::kMetadata) return true;
  if (place_ != Place::kTensor || field_ != Field::kType) return unexpected("a string");
  const auto* const found = std::find_if(std::begin(kTypes), std::end(kTypes),
                                         [&](const TypeName& row) { return row.name == text; });
  if (found == std::end(kTypes)) {
    return stop(Code::kUnsupported,
                cat(where(), ": element type ", quote(text), " is none that this build knows"),
                "convert the model to BF16");
  }
  tensors.back().type = found->type;
  field_ = Field::kNone;
  return true;
}

bool HeaderSax::number_unsigned(number_unsigned_t number) {
  if (place_ == Place::kShape) {
    std::vector<std::uint64_t>& shape = tensors.back().shape;
    if (shape.size() == kDimensionsMax) {
      return stop(Code::kLimit, cat(where(), ": more than ", kDimensionsMax, " dimensions"),
                  "reshape it");
    }
    shape.push_back(number);
    return true;
  }
  if (place_ != Place::kOffsets) return unexpected("a number");
  if (offsets_.size() == 2) return corrupt("more than two data_offsets");
  offsets_.push_back(number);
  return true;
}

bool HeaderSax::start_object(std::size_t) {
  if (place_ == Place::kBefore) {
    place_ = Place::kTop;
    return true;
  }
  if (place_ != Place::kTop) return unexpected("an object");
  place_ = is_metadata_ ? Place::kMetadata : Place::kTensor;
  had_type_ = had_shape_ = had_offsets_ = false;
  offsets_.clear();
  return true;
}

bool HeaderSax::end_object() {
  if (place_ == Place::kTensor) {
    place_ = Place::kTop;
    return end_tensor();
  }
  if (place_ == Place::kTop) return true;
  place_ = Place::kTop;
  std::sort(metadata_keys_.begin(), metadata_keys_.end());
  const auto twin = std::adjacent_find(metadata_keys_.begin(), metadata_keys_.end());
  if (twin == metadata_keys_.end()) return true;
  return stop(Code::kCorrupt, cat("__metadata__: ", quote(*twin), " is there twice"));
}

bool HeaderSax::start_array(std::size_t) {
  if (place_ != Place::kTensor || (field_ != Field::kShape && field_ != Field::kOffsets)) {
    return unexpected("an array");
  }
  place_ = field_ == Field::kShape ? Place::kShape : Place::kOffsets;
  return true;
}

bool HeaderSax::end_array() {
  place_ = Place::kTensor;
  field_ = Field::kNone;
  return true;
}

bool HeaderSax::end_tensor() {
  Stated& tensor = tensors.back();
  if (!had_type_ || !had_shape_ || !had_offsets_) {
    return corrupt("dtype, shape or data_offsets is missing");
  }
  if (offsets_.size() != 2 || offsets_[0] > offsets_[1]) {
    return corrupt("data_offsets are not a begin and an end");
  }
  tensor.begin = offsets_[0];
  tensor.end = offsets_[1];
  std::optional<std::uint64_t> bytes = element_bytes(tensor.type);
  for (const std::uint64_t extent : tensor.shape) {
    if (bytes) bytes = checked_mul(*bytes, extent);
  }
  if (!bytes) return corrupt("its size does not fit 64 bits");
  if (*bytes == tensor.end - tensor.begin) return true;
  return corrupt(cat(tensor.end - tensor.begin, " bytes of data, type and shape want ", *bytes));
}

// {"metadata": anything, "weight_map": {tensor: file}}; other keys at the top are passed over.
class IndexSax final : public StrictSax {
 public:
  using StrictSax::StrictSax;

  std::vector<Placement> placements;
  bool had_map = false;

  bool null() override { return passes() || StrictSax::null(); }
  bool boolean(bool value) override { return passes() || StrictSax::boolean(value); }
  bool number_integer(number_integer_t value) override {
    return passes() || StrictSax::number_integer(value);
  }
  bool number_unsigned(number_unsigned_t value) override {
    return passes() || StrictSax::number_unsigned(value);
  }
  bool number_float(number_float_t value, const string_t& text) override {
    return passes() || StrictSax::number_float(value, text);
  }
  bool string(string_t& text) override {
    if (passes()) return true;
    if (!in_map_) return unexpected("a string");
    placements.back().file = std::move(text);
    return true;
  }
  bool key(string_t& name) override {
    if (in_map_) {
      placements.emplace_back().tensor = std::move(name);
      return true;
    }
    if (depth_ != 1) return true;
    is_map_ = name == "weight_map";
    if (!is_map_) return true;
    if (had_map) return stop(Code::kCorrupt, "weight_map is there twice");
    had_map = true;
    return true;
  }
  bool start_object(std::size_t) override {
    if (in_map_) return unexpected("an object");
    in_map_ = depth_ == 1 && is_map_;
    ++depth_;
    return true;
  }
  bool end_object() override {
    in_map_ = false;
    --depth_;
    return true;
  }
  bool start_array(std::size_t) override {
    if (!passes()) return unexpected("an array");
    ++depth_;
    return true;
  }
  bool end_array() override {
    --depth_;
    return true;
  }

 private:
  std::string where() const override { return in_map_ ? "weight_map" : "index"; }
  // Whether a value here is one that nobody asks for.
  bool passes() const { return depth_ >= 1 && !is_map_; }

  std::size_t depth_ = 0;
  bool is_map_ = false;  // the key read last at the top is weight_map
  bool in_map_ = false;
};

}  // namespace

std::string_view name_of(Type type) { return row_of(type).name; }

std::size_t element_bytes(Type type) { return row_of(type).bytes; }

Result<std::vector<Stated>> parse_header(const std::string& path, std::string_view json) {
  HeaderSax sax(path);
  THAW_TRY_DO(run(sax, json));
  std::vector<Stated>& tensors = sax.tensors;
  std::sort(tensors.begin(), tensors.end(),
            [](const Stated& a, const Stated& b) { return a.name < b.name; });
  const auto twin =
      std::adjacent_find(tensors.begin(), tensors.end(),
                         [](const Stated& a, const Stated& b) { return a.name == b.name; });
  if (twin != tensors.end()) {
    sax.stop(Code::kCorrupt, cat("tensor ", quote(twin->name), " is there twice"));
    return *sax.error;
  }
  return std::move(tensors);
}

Result<std::vector<Placement>> parse_index(const std::string& path, std::string_view json) {
  IndexSax sax(path);
  THAW_TRY_DO(run(sax, json));
  std::vector<Placement>& placements = sax.placements;
  if (!sax.had_map) {
    sax.stop(Code::kCorrupt, "it has no weight_map");
    return *sax.error;
  }
  std::sort(placements.begin(), placements.end(),
            [](const Placement& a, const Placement& b) { return a.tensor < b.tensor; });
  const auto twin = std::adjacent_find(
      placements.begin(), placements.end(),
      [](const Placement& a, const Placement& b) { return a.tensor == b.tensor; });
  if (twin != placements.end()) {
    sax.stop(Code::kCorrupt, cat("tensor ", quote(twin->tensor), " is there twice"));
    return *sax.error;
  }
  return std::move(placements);
}

}  // namespace thaw::safetensors
