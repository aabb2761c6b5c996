#include "snapshot/gguf/parse.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <utility>

#include "base/str.h"
#include "snapshot/name.h"

namespace thaw::gguf {
namespace {

using snapshot::quote;

constexpr std::uint32_t kMagic = 0x46554747;   // "GGUF" as bytes
constexpr std::uint64_t kKeyBytesMax = 65535;  // as the format says
// The least that a key (length, a letter, type, a byte) and a tensor (length, a letter, dimension
// count, type, offset) take; what bounds their counts.
constexpr std::uint64_t kKeyBytesMin = 8 + 1 + 4 + 1;
constexpr std::uint64_t kTensorBytesMin = 8 + 1 + 4 + 4 + 8;

// What is left of a file's bytes, taken from the front.
class Cursor {
 public:
  explicit Cursor(Bytes file) : file_(file) {}

  std::uint64_t position() const { return position_; }
  std::uint64_t rest() const { return file_.size() - position_; }
  Bytes since(std::uint64_t begin) const { return file_.subspan(begin, position_ - begin); }

  template <class T>
  std::optional<T> number() {
    const auto value = load_at<T>(file_, position_);
    if (value) position_ += sizeof(T);
    return value;
  }

  std::optional<Bytes> bytes(std::uint64_t count) {
    if (count > rest()) return std::nullopt;
    position_ += count;
    return file_.subspan(position_ - count, count);
  }

  std::optional<std::string_view> string() {
    const auto length = number<std::uint64_t>();
    if (!length) return std::nullopt;
    const auto text = bytes(*length);
    if (!text) return std::nullopt;
    return as_text(*text);
  }

 private:
  Bytes file_;
  std::uint64_t position_ = 0;
};

class Parser {
 public:
  Parser(const std::string& path, Bytes file) : path_(path), file_(file), cursor_(file) {}

  Result<Contents> parse() {
    THAW_TRY_DO(read_header());
    THAW_TRY_DO(read_keys());
    THAW_TRY_DO(read_alignment());
    THAW_TRY_DO(read_tensors());
    THAW_TRY_DO(place_tensors());
    return std::move(contents_);
  }

 private:
  Error error(Code code, std::string_view found) const {
    return fail(code, cat("open ", quote(path_), ": ", found));
  }
  Error corrupt(std::string_view found) const {
    return error(Code::kCorrupt, cat(found, "; the file is damaged: fetch it again"));
  }
  Error cut_short(std::string_view what) const {
    return corrupt(cat(what, ": the file ends within it, at ", file_.size(), " bytes"));
  }

  Result<Done> read_header();
  Result<Done> read_keys();
  Result<Value> read_value(std::string_view key);
  Result<Value> read_array(std::string_view key, unsigned depth);
  Result<Done> skip_elements(std::string_view key, const Value& array, unsigned depth);
  Result<Done> check_bools(std::string_view key, Bytes bytes) const;
  Result<Done> read_alignment();
  Result<Done> read_tensors();
  Result<Done> read_tensor(Tensor& tensor);
  Result<std::uint64_t> size_of(const Tensor& tensor, const TypeInfo& info) const;
  Result<Done> place_tensors();
  Result<Done> check_tensors_are_apart() const;

  const std::string& path_;
  Bytes file_;
  Cursor cursor_;
  std::uint64_t key_count_ = 0;
  std::uint64_t tensor_count_ = 0;
  std::uint64_t alignment_ = kDefaultAlignment;
  std::vector<std::uint64_t> offsets_;  // of each tensor, from the start of the data
  std::vector<std::uint64_t> sizes_;    // of each tensor, bytes
  Contents contents_;
};

Result<Done> Parser::read_header() {
  const auto magic = cursor_.number<std::uint32_t>();
  if (magic != kMagic) {
    return error(Code::kCorrupt, "not a GGUF file: it does not begin with 'GGUF'");
  }
  const auto version = cursor_.number<std::uint32_t>();
  if (!version) return cut_short("header");
  if (*version != 2 && *version != 3) {
    const bool swapped = (*version & 0xFFFF) == 0 && *version != 0;
    return error(Code::kUnsupported,
                 swapped ? cat("big-endian GGUF; convert it to little-endian")
                         : cat("GGUF version ", *version,
                               ", this build reads 2 and 3; convert it with a newer tool"));
  }
  const auto tensors = cursor_.number<std::uint64_t>();
  const auto keys = cursor_.number<std::uint64_t>();
  if (!tensors || !keys) return cut_short("header");
  // Each alone, so that no product can wrap; together they are bounded as they are read.
  if (*keys > cursor_.rest() / kKeyBytesMin) {
    return corrupt(cat(*keys, " keys, ", file_.size(), " bytes can't hold them"));
  }
  if (*tensors > cursor_.rest() / kTensorBytesMin) {
    return corrupt(cat(*tensors, " tensors, ", file_.size(), " bytes can't hold them"));
  }
  key_count_ = *keys;
  tensor_count_ = *tensors;
  return Done{};
}

Result<Done> Parser::read_keys() {
  // Grown as keys are really there: a false count costs nothing.
  for (std::uint64_t index = 0; index < key_count_; ++index) {
    const auto name = cursor_.string();
    if (!name) return cut_short(cat("key ", index));
    if (name->empty() || name->size() > kKeyBytesMax) {
      return corrupt(cat("key ", index, " has a name of ", name->size(), " bytes, from 1 to ",
                         kKeyBytesMax, " can be"));
    }
    THAW_TRY(value, read_value(*name));
    contents_.keys.push_back({*name, value});
  }
  const auto less = [](const Key& a, const Key& b) { return a.name < b.name; };
  const auto same = [](const Key& a, const Key& b) { return a.name == b.name; };
  std::sort(contents_.keys.begin(), contents_.keys.end(), less);
  const auto twin = std::adjacent_find(contents_.keys.begin(), contents_.keys.end(), same);
  if (twin != contents_.keys.end())
    return corrupt(cat("key ", quote(twin->name), " is there twice"));
  return Done{};
}

Result<Value> Parser::read_value(std::string_view key) {
  const auto number = cursor_.number<std::uint32_t>();
  if (!number) return cut_short(cat("key ", quote(key)));
  Value value;
  value.type = static_cast<ValueType>(*number);
  if (value.type == ValueType::kArray) return read_array(key, 1);
  if (value.type == ValueType::kString) {
    const auto text = cursor_.string();
    if (!text) return cut_short(cat("key ", quote(key)));
    value.bytes = as_bytes(*text);
    return value;
  }
  const std::size_t bytes = fixed_bytes(value.type);
  if (bytes == 0) return corrupt(cat("key ", quote(key), ": type ", *number, ", 12 is the last"));
  const auto found = cursor_.bytes(bytes);
  if (!found) return cut_short(cat("key ", quote(key)));
  value.bytes = *found;
  if (value.type == ValueType::kBool) THAW_TRY_DO(check_bools(key, value.bytes));
  return value;
}

Result<Value> Parser::read_array(std::string_view key, unsigned depth) {
  if (depth > kArrayDepthMax) {
    return error(Code::kUnsupported, cat("key ", quote(key), ": arrays lie more than ",
                                         kArrayDepthMax, " deep, this build reads no deeper"));
  }
  const auto element = cursor_.number<std::uint32_t>();
  const auto count = cursor_.number<std::uint64_t>();
  if (!element || !count) return cut_short(cat("key ", quote(key)));
  Value value;
  value.type = ValueType::kArray;
  value.element = static_cast<ValueType>(*element);
  value.count = *count;
  const std::uint64_t begin = cursor_.position();
  THAW_TRY_DO(skip_elements(key, value, depth));
  value.bytes = cursor_.since(begin);
  return value;
}

Result<Done> Parser::skip_elements(std::string_view key, const Value& array, unsigned depth) {
  if (array.element == ValueType::kString) {
    for (std::uint64_t index = 0; index < array.count; ++index) {
      if (!cursor_.string()) return cut_short(cat("key ", quote(key), ", string ", index));
    }
    return Done{};
  }
  if (array.element == ValueType::kArray) {
    for (std::uint64_t index = 0; index < array.count; ++index) {
      THAW_TRY_DO(read_array(key, depth + 1));
    }
    return Done{};
  }
  const std::size_t bytes = fixed_bytes(array.element);
  if (bytes == 0) {
    return corrupt(cat("key ", quote(key), ": an array of type ",
                       static_cast<std::uint32_t>(array.element), ", 12 is the last"));
  }
  if (array.count > cursor_.rest() / bytes) {
    return cut_short(cat("key ", quote(key), ", an array of ", array.count));
  }
  const auto elements = cursor_.bytes(array.count * bytes);
  if (array.element == ValueType::kBool) return check_bools(key, *elements);
  return Done{};
}

Result<Done> Parser::check_bools(std::string_view key, Bytes bytes) const {
  const auto is_bool = [](std::byte byte) { return byte <= std::byte{1}; };
  if (std::all_of(bytes.begin(), bytes.end(), is_bool)) return Done{};
  return corrupt(cat("key ", quote(key), ": a truth value that is neither 0 nor 1"));
}

Result<Done> Parser::read_alignment() {
  constexpr std::string_view kName = "general.alignment";
  const auto less = [](const Key& key, std::string_view name) { return key.name < name; };
  const auto found = std::lower_bound(contents_.keys.begin(), contents_.keys.end(), kName, less);
  if (found == contents_.keys.end() || found->name != kName) return Done{};
  // The format says uint32, and nothing larger could be meant.
  if (found->value.type != ValueType::kU32) return corrupt("general.alignment is not a uint32");
  alignment_ = load<std::uint32_t>(found->value.bytes.data());
  if (!std::has_single_bit(alignment_)) {
    return corrupt(cat("general.alignment ", alignment_, ", a power of two is wanted"));
  }
  return Done{};
}

Result<Done> Parser::read_tensors() {
  if (tensor_count_ > cursor_.rest() / kTensorBytesMin) {
    return corrupt(cat(tensor_count_, " tensors, the rest of the file can't hold them"));
  }
  while (contents_.tensors.size() < tensor_count_) {
    THAW_TRY_DO(read_tensor(contents_.tensors.emplace_back()));
  }

  std::vector<std::size_t>& by_name = contents_.by_name;
  by_name.resize(tensor_count_);
  for (std::size_t index = 0; index < by_name.size(); ++index) by_name[index] = index;
  const auto& tensors = contents_.tensors;
  std::sort(by_name.begin(), by_name.end(),
            [&](std::size_t a, std::size_t b) { return tensors[a].name < tensors[b].name; });
  const auto twin = std::adjacent_find(
      by_name.begin(), by_name.end(),
      [&](std::size_t a, std::size_t b) { return tensors[a].name == tensors[b].name; });
  if (twin != by_name.end()) {
    return corrupt(cat("tensor ", quote(tensors[*twin].name), " is there twice"));
  }
  return Done{};
}

Result<Done> Parser::read_tensor(Tensor& tensor) {
  const std::size_t index = offsets_.size();
  const auto name = cursor_.string();
  if (!name) return cut_short(cat("tensor ", index));
  if (name->empty()) return corrupt(cat("tensor ", index, " has no name"));
  tensor.name = *name;
  const std::string where = cat("tensor ", quote(*name));
  const auto dimensions = cursor_.number<std::uint32_t>();
  if (!dimensions) return cut_short(where);
  if (*dimensions > kDimensionsMax) {
    return corrupt(cat(where, ": ", *dimensions, " dimensions, at most ", kDimensionsMax));
  }
  tensor.shape.reserve(*dimensions);
  for (std::uint32_t axis = 0; axis < *dimensions; ++axis) {
    const auto extent = cursor_.number<std::uint64_t>();
    if (!extent) return cut_short(where);
    if (*extent == 0) return corrupt(cat(where, ": dimension ", axis, " is 0"));
    tensor.shape.push_back(*extent);
  }
  const auto number = cursor_.number<std::uint32_t>();
  const auto offset = cursor_.number<std::uint64_t>();
  if (!number || !offset) return cut_short(where);
  const TypeInfo* const info = find_type(*number);
  if (info == nullptr) {
    return error(Code::kUnsupported,
                 cat(where, ": element type ", *number,
                     " is none that this build knows; convert the model to Q8_0 or Q4_K"));
  }
  tensor.type = info->type;
  if (*offset % alignment_ != 0) {
    return corrupt(cat(where, ": offset ", *offset, ", not a multiple of ", alignment_));
  }
  THAW_TRY(size, size_of(tensor, *info));
  offsets_.push_back(*offset);
  sizes_.push_back(size);
  return Done{};
}

Result<std::uint64_t> Parser::size_of(const Tensor& tensor, const TypeInfo& info) const {
  const auto where = [&] { return cat("tensor ", quote(tensor.name), ": "); };
  if (tensor.cols() % info.block_elements != 0) {
    return corrupt(cat(where(), tensor.cols(), " columns, ", info.name, " has blocks of ",
                       info.block_elements));
  }
  std::optional<std::uint64_t> elements = 1;
  for (const std::uint64_t extent : tensor.shape) {
    if (elements) elements = checked_mul(*elements, extent);
  }
  if (elements) {
    const auto size = checked_mul(*elements / info.block_elements, info.block_bytes);
    if (size) return *size;
  }
  return corrupt(cat(where(), "its size does not fit 64 bits"));
}

Result<Done> Parser::place_tensors() {
  if (contents_.tensors.empty()) return Done{};
  // The position is at most the file's size and the alignment below 2^32, so this can't wrap.
  const std::uint64_t data = round_up(cursor_.position(), alignment_);
  if (data > file_.size()) return cut_short("padding before the tensors' data");
  const std::uint64_t data_bytes = file_.size() - data;
  for (std::size_t index = 0; index < contents_.tensors.size(); ++index) {
    Tensor& tensor = contents_.tensors[index];
    const std::uint64_t offset = offsets_[index];
    const std::uint64_t size = sizes_[index];
    if (offset > data_bytes || size > data_bytes - offset) {
      return corrupt(cat("tensor ", quote(tensor.name), ": ", size, " bytes at ", offset,
                         ", the file has ", data_bytes, " bytes of data"));
    }
    tensor.bytes = file_.subspan(data + offset, size);
  }
  return check_tensors_are_apart();
}

Result<Done> Parser::check_tensors_are_apart() const {
  std::vector<std::size_t> order(contents_.tensors.size());
  for (std::size_t index = 0; index < order.size(); ++index) order[index] = index;
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return offsets_[a] < offsets_[b]; });
  for (std::size_t next = 1; next < order.size(); ++next) {
    const std::size_t before = order[next - 1];
    const std::size_t after = order[next];
    // No tensor is empty, so two at one offset overlap. The sum is within the file.
    if (offsets_[before] + sizes_[before] > offsets_[after]) {
      return corrupt(cat("tensors ", quote(contents_.tensors[before].name), " and ",
                         quote(contents_.tensors[after].name), " overlap"));
    }
  }
  return Done{};
}

}  // namespace

std::size_t fixed_bytes(ValueType type) {
  switch (type) {
    case ValueType::kU8:
    case ValueType::kI8:
    case ValueType::kBool: return 1;
    case ValueType::kU16:
    case ValueType::kI16: return 2;
    case ValueType::kU32:
    case ValueType::kI32:
    case ValueType::kF32: return 4;
    case ValueType::kU64:
    case ValueType::kI64:
    case ValueType::kF64: return 8;
    case ValueType::kString:
    case ValueType::kArray: return 0;
  }
  return 0;
}

std::string_view Strings::next() {
  const auto length = load<std::uint64_t>(rest_.data());
  const std::string_view text = as_text(rest_.subspan(sizeof length, length));
  rest_ = rest_.subspan(sizeof length + length);
  return text;
}

Result<Contents> parse(const std::string& path, Bytes file) { return Parser(path, file).parse(); }

}  // namespace thaw::gguf
