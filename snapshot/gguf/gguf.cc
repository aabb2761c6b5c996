#include "snapshot/gguf/gguf.h"

#include <algorithm>
#include <utility>

#include "snapshot/gguf/parse.h"

namespace thaw::gguf {
namespace {

// Calls `use` with the number of type `type` that lies at `from`, if it is one.
template <class Use>
void with_number(ValueType type, const std::byte* from, Use use) {
  switch (type) {
    case ValueType::kU8: use(load<std::uint8_t>(from)); break;
    case ValueType::kI8: use(load<std::int8_t>(from)); break;
    case ValueType::kU16: use(load<std::uint16_t>(from)); break;
    case ValueType::kI16: use(load<std::int16_t>(from)); break;
    case ValueType::kU32: use(load<std::uint32_t>(from)); break;
    case ValueType::kI32: use(load<std::int32_t>(from)); break;
    case ValueType::kU64: use(load<std::uint64_t>(from)); break;
    case ValueType::kI64: use(load<std::int64_t>(from)); break;
    case ValueType::kF32: use(load<float>(from)); break;
    case ValueType::kF64: use(load<double>(from)); break;
    case ValueType::kBool:
    case ValueType::kString:
    case ValueType::kArray: break;
  }
}

// The number as an integer of type To; nothing where it is none, or is out of To's range.
template <class To>
std::optional<To> integer_at(ValueType type, const std::byte* from) {
  std::optional<To> out;
  with_number(type, from, [&out](auto value) {
    if constexpr (std::is_integral_v<decltype(value)>) {
      if (std::in_range<To>(value)) out = static_cast<To>(value);
    }
  });
  return out;
}

std::optional<double> number_at(ValueType type, const std::byte* from) {
  std::optional<double> out;
  with_number(type, from, [&out](auto value) { out = static_cast<double>(value); });
  return out;
}

}  // namespace

struct File::State {
  std::string path;
  std::unique_ptr<Mapping> mapping;
  Contents contents;

  const Value* value(std::string_view name) const {
    const auto less = [](const Key& key, std::string_view wanted) { return key.name < wanted; };
    const auto& keys = contents.keys;
    const auto found = std::lower_bound(keys.begin(), keys.end(), name, less);
    return found == keys.end() || found->name != name ? nullptr : &found->value;
  }

  // The value where it is of this type; null otherwise.
  const Value* value(std::string_view name, ValueType type) const {
    const Value* const found = value(name);
    return found == nullptr || found->type != type ? nullptr : found;
  }

  // An array's numbers, each as `convert` has it; nothing where one does not convert.
  template <class To, class Convert>
  std::optional<std::vector<To>> array(std::string_view name, Convert convert) const {
    const Value* const found = value(name, ValueType::kArray);
    if (found == nullptr) return std::nullopt;
    const std::size_t bytes = fixed_bytes(found->element);
    if (bytes == 0) return std::nullopt;
    std::vector<To> out;
    out.reserve(found->count);
    for (std::uint64_t index = 0; index < found->count; ++index) {
      const auto element = convert(found->element, found->bytes.data() + index * bytes);
      if (!element) return std::nullopt;
      out.push_back(static_cast<To>(*element));
    }
    return out;
  }
};

std::uint64_t Tensor::rows() const {
  std::uint64_t product = 1;
  for (std::size_t axis = 1; axis < shape.size(); ++axis) product *= shape[axis];
  return product;
}

File::File() : state_(std::make_unique<State>()) {}
File::~File() = default;

Result<std::unique_ptr<File>> File::open(Files& files, const std::string& path) {
  THAW_TRY(mapping, files.map(path));
  std::unique_ptr<File> file(new File());
  file->state_->path = path;
  file->state_->mapping = std::move(mapping);
  THAW_TRY(contents, parse(path, file->state_->mapping->bytes()));
  file->state_->contents = std::move(contents);
  return file;
}

std::optional<std::uint64_t> File::integer(std::string_view key) const {
  const Value* const found = state_->value(key);
  if (found == nullptr) return std::nullopt;
  return integer_at<std::uint64_t>(found->type, found->bytes.data());
}

std::optional<double> File::number(std::string_view key) const {
  const Value* const found = state_->value(key);
  if (found == nullptr) return std::nullopt;
  return number_at(found->type, found->bytes.data());
}

std::optional<bool> File::boolean(std::string_view key) const {
  const Value* const found = state_->value(key, ValueType::kBool);
  if (found == nullptr) return std::nullopt;
  return found->bytes[0] != std::byte{0};
}

std::optional<std::string_view> File::text(std::string_view key) const {
  const Value* const found = state_->value(key, ValueType::kString);
  if (found == nullptr) return std::nullopt;
  return as_text(found->bytes);
}

std::optional<std::vector<std::string_view>> File::texts(std::string_view key) const {
  const Value* const found = state_->value(key, ValueType::kArray);
  if (found == nullptr || found->element != ValueType::kString) return std::nullopt;
  std::vector<std::string_view> out(found->count);
  Strings strings(found->bytes);
  for (std::string_view& text : out) text = strings.next();
  return out;
}

std::optional<std::vector<float>> File::numbers(std::string_view key) const {
  return state_->array<float>(key, number_at);
}

std::optional<std::vector<std::int64_t>> File::integers(std::string_view key) const {
  return state_->array<std::int64_t>(key, integer_at<std::int64_t>);
}

bool File::has(std::string_view key) const { return state_->value(key) != nullptr; }

std::span<const Tensor> File::tensors() const { return state_->contents.tensors; }

const Tensor* File::find(std::string_view name) const {
  const Contents& contents = state_->contents;
  const auto found = std::lower_bound(contents.by_name.begin(), contents.by_name.end(), name,
                                      [&](std::size_t index, std::string_view wanted) {
                                        return contents.tensors[index].name < wanted;
                                      });
  if (found == contents.by_name.end() || contents.tensors[*found].name != name) return nullptr;
  return &contents.tensors[*found];
}

const std::string& File::path() const { return state_->path; }

}  // namespace thaw::gguf
