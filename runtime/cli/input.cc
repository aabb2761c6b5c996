#include <cerrno>
#include <cstring>

#include "base/str.h"
#include "runtime/cli/commands.h"

namespace thaw::cli {
namespace {

constexpr std::uint64_t kInputBytesMax = 64 << 20;  // a text of some 16 million tokens

}  // namespace

void warn_of_prefixes(const handler::Function& function, const Context& context) {
  for (const std::string& warning : function.prefixes().warnings()) {
    std::fprintf(context.err, "thaw: %s\n", warning.c_str());
  }
}

Result<std::string> read_input(const Context& context, const std::string& path) {
  if (path != "-") return read_text(context.files, path, kInputBytesMax);
  std::string text;
  char piece[1 << 16];
  while (const std::size_t count = std::fread(piece, 1, sizeof piece, stdin)) {
    text.append(piece, count);
    if (text.size() > kInputBytesMax) {
      return fail(Code::kLimit, cat("read stdin: more than ", kInputBytesMax, " bytes"));
    }
  }
  if (std::ferror(stdin) != 0) {
    return fail(Code::kIo, cat("read stdin: ", std::strerror(errno)));
  }
  return text;
}

}  // namespace thaw::cli
