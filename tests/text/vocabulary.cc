#include "vocabulary.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>

#include "base/str.h"
#include "handler/text/unicode.h"

namespace thaw::text::test {
namespace {

template <class Number>
Number number(std::string_view text) {
  Number value{};
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::string unescape(std::string_view line) {
  std::string text;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] != '\\' || i + 1 == line.size()) {
      text.push_back(line[i]);
    } else {
      const char next = line[++i];
      text.push_back(next == 'n' ? '\n' : next == 'r' ? '\r' : next);
    }
  }
  return text;
}

class Parser {
 public:
  explicit Parser(const std::string& path) : in_(path, std::ios::binary) {}

  Result<TokenizerSource> parse() {
    std::string line;
    if (!std::getline(in_, line) || line != "thaw-vocabulary 1") {
      return fail(Code::kNotFound, "no vocabulary");
    }
    while (std::getline(in_, line)) {
      const std::size_t space = std::min(line.find(' '), line.size());
      const std::string key = line.substr(0, space);
      const std::string value = space < line.size() ? line.substr(space + 1) : "";
      if (!field(key, value)) return fail(Code::kCorrupt, cat("unknown line '", line, "'"));
    }
    source_.scores.resize(is_sentencepiece_ ? source_.tokens.size() : 0);
    return std::move(source_);
  }

 private:
  bool field(const std::string& key, const std::string& value) {
    if (key == "model") {
      is_sentencepiece_ = value == "llama";
      source_.model = is_sentencepiece_ ? TokenizerSource::Model::kSentencePiece
                                        : TokenizerSource::Model::kByteBpe;
    } else if (key == "pre") {
      source_.pre = value;
    } else if (key == "bos") {
      source_.bos = number<Token>(value);
    } else if (key == "eos") {
      source_.eos = number<Token>(value);
    } else if (key == "unknown") {
      source_.unknown = number<Token>(value);
    } else if (key == "add_bos") {
      source_.add_bos = true;
    } else if (key == "ignore_merges") {
      source_.ignore_merges = true;
    } else if (key == "nfc") {
      source_.nfc = true;
    } else if (key == "add_space_prefix") {
      source_.add_space_prefix = true;
    } else if (key == "types") {
      types(value);
    } else if (key == "tokens") {
      tokens(number<std::size_t>(value));
    } else if (key == "scores") {
      scores();
    } else if (key == "splits") {
      splits(number<std::size_t>(value));
    } else if (key == "merges") {
      for (std::string line; std::getline(in_, line);) source_.merges.push_back(line);
    } else {
      return false;
    }
    return true;
  }

  void types(const std::string& value) {
    std::istringstream runs(value);
    for (std::string run; runs >> run;) {
      const std::string_view count = std::string_view(run).substr(run.find('*') + 1);
      const auto type = static_cast<TokenType>(run[0] - '0');
      source_.types.insert(source_.types.end(), number<std::size_t>(count), type);
    }
  }

  void tokens(std::size_t count) {
    std::string line;
    while (source_.tokens.size() < count && std::getline(in_, line)) {
      if (line.starts_with("\\0")) {  // a run of tokens that were left out
        const auto run = number<std::size_t>(std::string_view(line).substr(2));
        source_.tokens.resize(source_.tokens.size() + run);
      } else {
        source_.tokens.push_back(unescape(line));
      }
    }
  }

  void scores() {
    std::string line;
    while (source_.scores.size() < source_.tokens.size() && std::getline(in_, line)) {
      source_.scores.push_back(number<float>(line));
    }
  }

  void splits(std::size_t first) {
    for (std::string line; std::getline(in_, line);) {
      for (const char length : line) {
        const std::string& token = source_.tokens[first++];
        std::size_t at = 0;
        for (int i = 0; i < length - '0'; ++i) {
          at += decode_utf8(std::string_view(token).substr(at)).bytes;
        }
        source_.merges.push_back(cat(token.substr(0, at), " ", token.substr(at)));
      }
    }
  }

  std::ifstream in_;
  TokenizerSource source_;
  bool is_sentencepiece_ = false;
};

}  // namespace

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::string data_path(std::string_view name) {
  return cat(THAW_SOURCE_DIR, "/tests/data/vocab/", name);
}

Result<TokenizerSource> read_vocabulary(const std::string& path) { return Parser(path).parse(); }

std::vector<std::string> read_cases(const std::string& path) {
  constexpr std::string_view kBetween = "\n__ggml_vocab_test__\n";
  std::vector<std::string> cases;
  const std::string text = read_file(path);
  std::size_t begin = 0;
  for (std::size_t end; (end = text.find(kBetween, begin)) != std::string::npos;) {
    cases.push_back(text.substr(begin, end - begin));
    begin = end + kBetween.size();
  }
  return cases;
}

std::vector<std::vector<Token>> read_ids(const std::string& path) {
  std::vector<std::vector<Token>> all;
  std::istringstream lines(read_file(path));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream ids(line);
    all.emplace_back(std::istream_iterator<Token>(ids), std::istream_iterator<Token>());
  }
  return all;
}

Built::Built(const TokenizerSource& source) {
  auto built = build_tokenizer(source);
  if (!built) {
    std::fprintf(stderr, "%s\n", built.error().message.c_str());
    std::abort();
  }
  tables_ = *std::move(built);
  auto opened = Tokenizer::open(tables_);
  if (!opened) {
    std::fprintf(stderr, "%s\n", opened.error().message.c_str());
    std::abort();
  }
  tokenizer_ = *std::move(opened);
}

std::vector<Token> Built::encode(std::string_view text, bool special) const {
  std::vector<Token> tokens;
  tokenizer_->encode(text, special, tokens);
  return tokens;
}

std::string Built::decode(const std::vector<Token>& tokens) const {
  std::string bytes;
  for (const Token token : tokens) bytes += tokenizer_->bytes_of(token);
  return bytes;
}

std::string byte_level(std::string_view bytes) {
  static const std::array<std::string, 256> kSpellings = [] {
    std::array<std::string, 256> spellings;
    char32_t next = 256;
    for (char32_t byte = 0; byte < 256; ++byte) {
      const bool is_itself = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
      append_utf8(spellings[byte], is_itself ? byte : next++);
    }
    return spellings;
  }();
  std::string spelling;
  for (const char byte : bytes) spelling += kSpellings[static_cast<std::uint8_t>(byte)];
  return spelling;
}

TokenizerSource small_source(const std::vector<std::string>& merges,
                             const std::vector<std::pair<std::string, TokenType>>& added) {
  TokenizerSource source;
  source.pre = "gpt-2";
  for (int byte = 0; byte < 256; ++byte) {
    source.tokens.push_back(byte_level(std::string(1, static_cast<char>(byte))));
  }
  for (const std::string& merge : merges) {
    const std::size_t space = merge.find(' ', 1);
    const std::string left = byte_level(merge.substr(0, space));
    const std::string right = byte_level(merge.substr(space + 1));
    source.merges.push_back(cat(left, " ", right));
    source.tokens.push_back(left + right);
  }
  source.types.assign(source.tokens.size(), TokenType::kNormal);
  for (const auto& [spelling, type] : added) {
    source.tokens.push_back(spelling);
    source.types.push_back(type);
  }
  return source;
}

}  // namespace thaw::text::test
