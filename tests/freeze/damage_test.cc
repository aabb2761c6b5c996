// Snapshots that are damaged, or lose bytes while they are in use, under the whole of a function:
// everything is reported, nothing is answered wrongly. Bytes are checked lazily, as by default.

#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <vector>

#include "base/bus_guard.h"
#include "base/random.h"
#include "base/str.h"
#include "handler/freeze/freeze.h"
#include "handler/function.h"
#include "tests/snapshot/memory_files.h"

namespace thaw::handler {
namespace {

using snapshot::Section;
using snapshot::SectionType;

const std::string kModel = THAW_SOURCE_DIR "/tests/data/golden/llama-q4_k_m.gguf";
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kFlips = 500;  // a sanitizer makes each of them ten times as slow
#else
constexpr int kFlips = 10'000;
#endif

// A model with a stored prefix of more than one block.
Blob frozen(Files& files) {
  ThreadPool pool(1);
  freeze::FreezeOptions options;
  std::vector<text::Token> tokens(90);
  for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<text::Token>(i % 50 + 3);
  options.prefixes = {{"opening", "opening.json", tokens}};
  MemoryFiles memory;
  const auto source = read_text(files, kModel, 64 << 20);
  EXPECT_TRUE(source);
  const Bytes bytes = as_bytes(*source);
  memory.files["in"] = Blob(bytes.begin(), bytes.end());
  const auto done = freeze::freeze(memory, "in", "out", options, pool, {});
  EXPECT_TRUE(done) << (done ? "" : done.error().message);
  return memory.files["out"];
}

// What a function says to one prompt; the error where it does not answer.
struct Said {
  std::string text;
  std::vector<text::Token> tokens;
  std::uint32_t cached = 0;
  bool operator==(const Said&) const = default;
};

using Told = std::function<void(std::size_t pieces)>;

Result<Said> ask(Files& files, const std::string& path, const Told& told = {},
                 snapshot::Paging paging = snapshot::Paging::kMap, unsigned threads = 1) {
  FunctionOptions options;
  options.threads = threads;
  options.paging = paging;
  THAW_TRY(function, Function::open(files, path, options));
  GenerationRequest request;
  request.prompt = std::string("ab cd ef");
  request.max_tokens = 4;
  Said said;
  std::size_t pieces = 0;
  THAW_TRY(done, function->generator().generate(request, [&](const TextPiece& piece) {
    said.text += piece.text;
    if (told) told(++pieces);
    return true;
  }));
  said.tokens = done.tokens;
  said.cached = done.usage.cached_tokens;
  return said;
}

TEST(Damage, EveryFlippedBitIsReportedBeforeAnAnswerThatDependsOnIt) {
  const Blob sound = frozen(system_files());
  MemoryFiles files;
  files.files["s"] = sound;
  const auto reference = ask(files, "s");
  ASSERT_TRUE(reference) << reference.error().message;

  // Header, directory, each section and padding, in equal parts. All lie in granules that the
  // answer needs, so that all are reported.
  struct Part {
    std::string name;
    std::uint64_t begin, end;
  };
  std::vector<Part> parts;
  const auto add = [&](const std::string& name, std::uint64_t begin, std::uint64_t end) {
    if (begin < end) parts.push_back({name, begin, end});
  };
  {
    const auto reader = snapshot::Reader::open(files, "s");
    ASSERT_TRUE(reader);
    add("header", 0, sizeof(snapshot::Header));
    std::uint64_t end = sizeof(snapshot::Header);
    for (const Section& section : (*reader)->sections()) {
      const std::string name(snapshot::name_of(section.type));
      add("padding before " + name, end, section.offset);
      end = section.offset + section.bytes.size();
      add(name, section.offset, end);
    }
    const auto directory = load<snapshot::Header>(sound.data()).directory_offset;
    add("padding before the directory", end, directory);
    add("directory", directory, sound.size());
  }
  Random random(31);
  for (int flip = 0; flip < kFlips; ++flip) {
    const Part& part = parts[static_cast<std::size_t>(flip) % parts.size()];
    const std::uint64_t at = part.begin + random.below(part.end - part.begin);
    const auto bit = std::byte{1} << random.below(8);
    files.files["s"][at] ^= bit;
    const auto said = ask(files, "s");
    files.files["s"][at] ^= bit;
    ASSERT_FALSE(said) << "seed 31, flip " << flip << ": byte " << at << " in " << part.name;
    ASSERT_TRUE(said.error().code == Code::kCorrupt || said.error().code == Code::kUnsupported)
        << part.name << " " << at << ": " << said.error().message;
  }
}

// A real file that loses bytes, or is rewritten, while a function answers.
class Lost : public testing::TestWithParam<snapshot::Paging> {
 protected:
  static void SetUpTestSuite() { install_bus_guard(); }
  void SetUp() override { put(); }
  void TearDown() override { ::unlink(path_.c_str()); }
  void put() {
    static const Blob sound = frozen(system_files());
    sound_ = &sound;
    auto file = system_files().create(path_);
    ASSERT_TRUE(file);
    ASSERT_TRUE((*file)->append(sound));
    ASSERT_TRUE((*file)->commit());
  }

  const Blob* sound_ = nullptr;
  const std::string path_ = cat(testing::TempDir(), "thaw-lost-", ::getpid());
};

INSTANTIATE_TEST_SUITE_P(EachWay, Lost,
                         testing::Values(snapshot::Paging::kMap, snapshot::Paging::kRead),
                         [](const auto& way) {
                           return way.param == snapshot::Paging::kMap ? "map" : "read";
                         });

TEST_P(Lost, ATruncationAtAnyPointAndTimeIsAnErrorAndNoMoreTextIsTold) {
  constexpr unsigned kThreads = 3;  // whichever of them finds bytes gone
  const auto whole = ask(system_files(), path_, {}, GetParam(), kThreads);
  ASSERT_TRUE(whole) << whole.error().message;
  Random random(32);
  for (int round = 0; round < 40; ++round) {
    put();
    // At a page's border, or anywhere.
    std::uint64_t left = random.below(sound_->size());
    if (round % 2 == 0) left &= ~std::uint64_t{4095};
    const std::size_t when = 1 + random.below(3);
    std::size_t told = 0;
    const auto said = ask(
        system_files(), path_,
        [&](std::size_t pieces) {
          told = pieces;
          if (pieces == when) {
            ASSERT_EQ(::truncate(path_.c_str(), static_cast<off_t>(left)), 0);
          }
        },
        GetParam(), kThreads);
    ASSERT_FALSE(said) << "seed 32, round " << round << ", " << left << " bytes after piece "
                       << when;
    EXPECT_EQ(said.error().code, Code::kIo) << said.error().message;
    EXPECT_EQ(told, when);
  }
}

}  // namespace
}  // namespace thaw::handler
