#include "layering.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>

namespace thaw::house {
namespace {

// Sources that are compiled, tables that are included by them among these.
bool is_source(std::string_view path) {
  for (const std::string_view ending : {".h", ".cc", ".inc", ".cu", ".cuh"}) {
    if (path.ends_with(ending)) return true;
  }
  return false;
}

bool is_outside_the_house(std::string_view path) {
  return path.starts_with("tests/") || path.starts_with("bench/");
}

std::string_view folder_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

bool is_below(std::string_view path, std::string_view folder) {
  return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
}

const Room* find_room(std::string_view folder) {
  for (const Room& room : rooms()) {
    if (room.folder == folder) return &room;
  }
  return nullptr;
}

bool may_use(const Room& room, std::string_view other) {
  return room.folder == other ||
         std::find(room.may_use.begin(), room.may_use.end(), other) != room.may_use.end();
}

// The two mains sit in one folder and are linked of different rooms.
constexpr std::string_view kBootstrapMain = "runtime/bootstrap_main.cc";
constexpr std::string_view kNotInBootstrap[] = {
    "handler/freeze", "handler/reference", "snapshot/gguf", "snapshot/safetensors", "warmpool",
    "runtime/emulator", "runtime/cli", "runtime/cost", "runtime/simulate"};

bool is_kept_out_of_bootstrap(std::string_view room) {
  return std::find(std::begin(kNotInBootstrap), std::end(kNotInBootstrap), room) !=
         std::end(kNotInBootstrap);
}

// Outside libraries and the only places that may name them: heavy headers stay behind few sources,
// and a library that a floor is not to know cannot creep in.
struct Library {
  std::string_view include;  // how its includes begin
  std::vector<std::string_view> places;
};
const std::vector<Library>& libraries() {
  static const std::vector<Library> table = {
      {"spdlog/", {"base/log.cc"}},
      {"fmt/", {"base/log.cc"}},
      {"boost/", {"runtime"}},
      {"CLI/", {"runtime"}},
      {"nlohmann/", {"snapshot/safetensors", "handler", "runtime"}},
      {"utf8proc", {"handler/text"}},
      {"xxhash", {"snapshot", "handler", "runtime"}},
      {"yaml-cpp/", {"runtime/deployment", "runtime/triggers"}},
      {"simde/", {"kernels"}},
      {"pcre2", {}},
      {"gtest/", {}},
      {"gmock/", {}},
      {"benchmark/", {}},
      {"curl/", {}},
      {"lz4", {}},
      {"cblas", {"handler/reference/openblas.cc"}},
      {"lapacke", {}},
      {"openssl/", {}},
  };
  return table;
}

struct Include {
  std::string path;
  bool quoted = false;
  std::size_t line = 0;
};

std::vector<Include> includes_of(const SourceFile& file) {
  std::vector<Include> found;
  // Comments are blanked; the quoted path is read from the text itself.
  const std::string comments = view_of(file.text).comments;
  const auto lines = lines_of(file.text);
  const auto commented = lines_of(comments);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    std::string_view line = lines[i];
    const std::size_t hash = line.find_first_not_of(" \t");
    if (hash == std::string_view::npos || line[hash] != '#') continue;
    if (i < commented.size() && commented[i].find('#') == hash) continue;
    const std::size_t word = line.find_first_not_of(" \t", hash + 1);
    if (word == std::string_view::npos || !line.substr(word).starts_with("include")) continue;
    const std::size_t open = line.find_first_of("\"<", word);
    if (open == std::string_view::npos) continue;
    const std::size_t close = line.find_first_of("\">", open + 1);
    if (close == std::string_view::npos) continue;
    found.push_back(
        {std::string(line.substr(open + 1, close - open - 1)), line[open] == '"', i + 1});
  }
  return found;
}

// What is wrong with `include` of ours in `file`, if anything.
std::optional<std::string> wrong_with(const SourceFile& file, const Include& include,
                                      const std::set<std::string_view>& paths) {
  const bool outside = is_outside_the_house(file.path);
  const std::filesystem::path folder(folder_of(file.path));
  const std::string beside = (folder / include.path).lexically_normal().generic_string();
  if (outside && paths.count(beside) != 0) return std::nullopt;
  if (paths.count(include.path) == 0) {
    return "includes \"" + include.path + "\", which is not a path from the root";
  }
  if (outside) return std::nullopt;
  if (is_outside_the_house(include.path)) {
    return "includes \"" + include.path + "\"; nothing of the house includes tests or bench";
  }
  const std::string_view to = room_of(include.path);
  if (file.path == kBootstrapMain && is_kept_out_of_bootstrap(to)) {
    return "includes \"" + include.path + "\"; " + std::string(to) + " is no part of bootstrap";
  }
  const Room* from = find_room(room_of(file.path));
  if (from == nullptr || to.empty()) return "lies in no room that the layering test knows";
  if (may_use(*from, to)) return std::nullopt;
  return "includes \"" + include.path + "\"; " + std::string(from->folder) + " must not know " +
         std::string(to);
}

std::optional<std::string> wrong_with_library(const SourceFile& file, const Include& include) {
  if (is_outside_the_house(file.path)) return std::nullopt;
  for (const Library& library : libraries()) {
    if (!include.path.starts_with(library.include)) continue;
    for (const std::string_view place : library.places) {
      if (is_below(file.path, place)) return std::nullopt;
    }
    return "includes <" + include.path + ">, which is not for this place";
  }
  return std::nullopt;
}

// The words between the parentheses of each call of `command` in a CMake list.
std::vector<std::pair<std::size_t, std::vector<std::string>>> calls_of(std::string_view text,
                                                                       std::string_view command) {
  std::vector<std::pair<std::size_t, std::vector<std::string>>> calls;
  for (std::size_t at = find_word(text, command); at != std::string_view::npos;
       at = find_word(text, command, at + 1)) {
    const std::size_t line_begin = text.rfind('\n', at) + 1;  // npos + 1 is 0
    if (text.substr(line_begin, at - line_begin).find_first_not_of(" \t") != std::string::npos) {
      continue;  // in a comment, or an argument
    }
    const std::size_t end = std::min(text.find(')', at), text.size());
    std::vector<std::string> words(1);
    for (const char c : text.substr(at + command.size() + 1, end - at - command.size() - 1)) {
      if (c == ' ' || c == '\n' || c == '\t') {
        if (!words.back().empty()) words.emplace_back();
      } else {
        words.back().push_back(c);
      }
    }
    if (words.back().empty()) words.pop_back();
    calls.emplace_back(line_at(text, at), std::move(words));
  }
  return calls;
}

std::vector<std::string> deps_in(const std::vector<std::string>& words) {
  std::vector<std::string> deps;
  bool in_deps = false;
  for (const std::string& word : words) {
    if (word == "SOURCES" || word == "SYSTEM" || word == "DEPS") {
      in_deps = word == "DEPS";
    } else if (in_deps) {
      deps.push_back(word);
    }
  }
  return deps;
}

struct Manner {
  std::string_view word;
  std::string_view message;
  std::vector<std::string_view> places;  // where it may stand nevertheless
};
const std::vector<Manner>& manners() {
  static const std::string_view no_printing = "prints; only runtime writes to streams";
  static const std::vector<Manner> table = {
      {"getenv", "reads the environment; only mains do", {}},
      {"secure_getenv", "reads the environment; only mains do", {}},
      {"cout", no_printing, {"runtime"}},
      {"cerr", no_printing, {"runtime"}},
      {"printf", no_printing, {"runtime"}},
      {"puts", no_printing, {"runtime"}},
      {"fprintf", no_printing, {"runtime", "base/check.cc"}},
      {"sleep_for", "sleeps; wait on a Clock", {}},
      {"usleep", "sleeps; wait on a Clock", {}},
      {"nanosleep", "sleeps; wait on a Clock", {}},
      {"detach", "detaches a thread; every thread has an owner that joins it", {}},
  };
  return table;
}

bool is_main(std::string_view path) {
  return path.ends_with("_main.cc") || path.ends_with("/main.cc");
}

}  // namespace

const std::vector<Room>& rooms() {
  static const std::vector<Room> table = {
      {"base", {}},
      {"kernels", {"base"}},
      {"snapshot", {"base"}},
      {"snapshot/gguf", {"base", "snapshot"}},
      {"snapshot/safetensors", {"base", "snapshot"}},
      {"warmpool", {"base"}},
      {"handler/event", {"base"}},
      {"handler/text", {"base", "snapshot"}},
      {"handler/model", {"base", "kernels", "snapshot"}},
      {"handler/reference", {"base", "kernels", "snapshot", "handler/model"}},
      {"handler",
       {"base", "kernels", "snapshot", "handler/event", "handler/text", "handler/model"}},
      {"handler/freeze",
       {"base", "kernels", "snapshot", "snapshot/gguf", "snapshot/safetensors", "handler/event",
        "handler/text", "handler/model", "handler"}},
      {"runtime/http", {"base"}},
      {"runtime/lambda", {"base", "snapshot", "handler", "handler/event", "runtime/http"}},
      {"runtime/web", {"base", "snapshot", "handler", "handler/event", "runtime/http"}},
      {"runtime/fc",
       {"base", "snapshot", "handler", "handler/event", "runtime/http", "runtime/web"}},
      {"runtime/cost", {"base"}},
      {"runtime/simulate", {"base", "warmpool", "runtime/cost"}},
      {"runtime/emulator",
       {"base", "warmpool", "handler/event", "runtime/cost", "runtime/http", "runtime/lambda"}},
      {"runtime/deployment", {"base", "warmpool", "runtime/http", "runtime/emulator"}},
      {"runtime/triggers", {"base", "warmpool", "runtime/http", "runtime/emulator"}},
      {"runtime/bootstrap",
       {"base", "kernels", "snapshot", "handler/event", "handler/text", "handler/model", "handler",
        "runtime/http", "runtime/lambda", "runtime/fc", "runtime/web"}},
      {"runtime/cli",
       {"base",
        "kernels",
        "snapshot",
        "snapshot/gguf",
        "snapshot/safetensors",
        "warmpool",
        "handler/event",
        "handler/text",
        "handler/model",
        "handler/reference",
        "handler",
        "handler/freeze",
        "runtime/http",
        "runtime/lambda",
        "runtime/fc",
        "runtime/web",
        "runtime/cost",
        "runtime/simulate",
        "runtime/emulator",
        "runtime/deployment",
        "runtime/triggers"}},
      {"runtime",
       {"base", "kernels", "snapshot", "warmpool", "handler/event", "handler/text", "handler/model",
        "handler", "runtime/http", "runtime/lambda", "runtime/fc", "runtime/web", "runtime/cost",
        "runtime/simulate", "runtime/bootstrap", "runtime/emulator", "runtime/deployment",
        "runtime/triggers", "runtime/cli"}},
  };
  return table;
}

std::string_view room_of(std::string_view path) {
  std::string_view found;
  for (const Room& room : rooms()) {
    if (is_below(path, room.folder) && room.folder.size() > found.size()) found = room.folder;
  }
  return found;
}

std::vector<Finding> check_includes(const std::vector<SourceFile>& tree) {
  std::set<std::string_view> paths;
  for (const SourceFile& file : tree) paths.insert(file.path);
  std::vector<Finding> findings;
  for (const SourceFile& file : tree) {
    if (!is_source(file.path)) continue;
    const std::vector<Include> includes = includes_of(file);
    for (const Include& include : includes) {
      const auto wrong =
          include.quoted ? wrong_with(file, include, paths) : wrong_with_library(file, include);
      if (wrong) findings.push_back({file.path, include.line, *wrong});
    }
    if (!file.path.ends_with(".cc") || is_outside_the_house(file.path)) continue;
    const std::string own = file.path.substr(0, file.path.size() - 3) + ".h";
    if (paths.count(own) != 0 && (includes.empty() || includes.front().path != own)) {
      findings.push_back({file.path, 0, "does not include its own header first"});
    }
  }
  return findings;
}

std::vector<Finding> check_links(const std::vector<SourceFile>& tree) {
  std::vector<Finding> findings;
  for (const SourceFile& file : tree) {
    if (!file.path.ends_with("CMakeLists.txt") || is_outside_the_house(file.path)) continue;
    for (const auto& [line, words] : calls_of(file.text, "thaw_module")) {
      const Room* room = words.empty() ? nullptr : find_room(words.front());
      if (room == nullptr) {
        findings.push_back({file.path, line, "a module that the layering test does not know"});
        continue;
      }
      for (const std::string& dep : deps_in(words)) {
        if (!may_use(*room, dep)) {
          findings.push_back({file.path, line, words.front() + " must not link " + dep});
        }
      }
    }
    for (const auto& [line, words] : calls_of(file.text, "target_link_libraries")) {
      if (words.empty() || words.front() != "bootstrap") continue;
      for (std::string word : words) {
        if (!word.starts_with("thaw_")) continue;
        word.erase(0, 5);
        std::replace(word.begin(), word.end(), '_', '/');
        if (is_kept_out_of_bootstrap(word)) {
          findings.push_back({file.path, line, "bootstrap must not link " + word});
        }
      }
    }
  }
  return findings;
}

std::vector<Finding> check_manners(const std::vector<SourceFile>& tree) {
  std::vector<Finding> findings;
  for (const SourceFile& file : tree) {
    if (!is_source(file.path) || is_outside_the_house(file.path) || is_main(file.path)) continue;
    const std::string code = view_of(file.text).code;
    for (const Manner& manner : manners()) {
      const bool excused =
          std::any_of(manner.places.begin(), manner.places.end(),
                      [&](std::string_view place) { return is_below(file.path, place); });
      if (excused) continue;
      for (std::size_t at = find_word(code, manner.word); at != std::string::npos;
           at = find_word(code, manner.word, at + 1)) {
        findings.push_back({file.path, line_at(code, at),
                            std::string(manner.word) + ": " + std::string(manner.message)});
      }
    }
  }
  return findings;
}

}  // namespace thaw::house
