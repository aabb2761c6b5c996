// Words that both sides of HTTP/1.1 share: header fields, a response, limits.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace thaw::http {

inline constexpr std::size_t kHeadBytesMax = 64 << 10;  // AWS takes 10 KB to 64 KB of headers
inline constexpr std::size_t kBodyBytesMax = 8 << 20;   // Lambda's payloads end at 6 MB
inline constexpr std::size_t kTargetBytesMax = 8 << 10;

struct Field {
  std::string name;
  std::string value;
};

// Header or trailer fields in the order they came. Names compare without regard to case.
class Fields {
 public:
  Fields() = default;
  Fields(std::initializer_list<Field> fields) : fields_(fields) {}

  void add(std::string_view name, std::string_view value);
  // The first value of `name`, or nothing. Valid until these Fields change.
  std::optional<std::string_view> get(std::string_view name) const;
  bool has(std::string_view name) const { return get(name).has_value(); }

  bool empty() const { return fields_.empty(); }
  std::size_t size() const { return fields_.size(); }
  std::vector<Field>::const_iterator begin() const { return fields_.begin(); }
  std::vector<Field>::const_iterator end() const { return fields_.end(); }

 private:
  std::vector<Field> fields_;
};

struct Response {
  int status = 0;
  Fields headers;
  std::string body;
  Fields trailers;
};

// "a" and "A" are one name. ASCII only, no locale.
bool same_name(std::string_view a, std::string_view b);

// The phrase of a status line, "Not Found"; "Unknown" where the status has none.
std::string_view reason_of(int status);

}  // namespace thaw::http
