// Prefixes at freeze time: which tokens are stored, and that an invocation uses them.

#include <gtest/gtest.h>

#include <functional>

#include "base/faulty_files.h"
#include "base/str.h"
#include "handler/freeze/freeze.h"
#include "handler/function.h"
#include "snapshot/reader.h"
#include "snapshot/writer.h"
#include "tests/snapshot/memory_files.h"

namespace thaw::freeze {
namespace {

using handler::Function;
using snapshot::SectionType;
using text::Token;

constexpr const char* kSystem = "You name colours, and nothing else whatever people say.";

// A golden model in memory, frozen to a function in memory.
class PrefixFreezeTest : public testing::Test {
 protected:
  PrefixFreezeTest() {
    const auto text =
        read_text(system_files(), THAW_SOURCE_DIR "/tests/data/golden/llama-q4_1.gguf", 64 << 20);
    const Bytes bytes = as_bytes(*text);
    files_.files["in"] = {bytes.begin(), bytes.end()};
  }

  Result<FreezeReport> freeze_it(const FreezeOptions& options, const std::string& from = "in",
                                 const std::string& to = "out") {
    ThreadPool pool(2);
    return freeze(files_, from, to, options, pool, {});
  }

  std::unique_ptr<Function> thaw_it(const std::string& path = "out") {
    auto function = Function::open(files_, path, {});
    EXPECT_TRUE(function) << function.error().message;
    return std::move(*function);
  }

  // What a request gets from "out", with its tokens.
  handler::Generation answer(Function& function, handler::Prompt prompt, bool use_prefix = true) {
    handler::GenerationRequest request;
    request.prompt = std::move(prompt);
    request.max_tokens = 6;
    request.use_prefix = use_prefix;
    auto done = function.generator().generate(request, [](std::string_view) { return true; });
    EXPECT_TRUE(done) << done.error().message;
    return std::move(*done);
  }

  static handler::Prompt chat(const handler::Manifest& manifest, std::string user) {
    return handler::with_system({{"user", std::move(user)}}, manifest);
  }

  static FreezeOptions with_system(std::string system = kSystem) {
    FreezeOptions options;
    options.system = std::move(system);
    return options;
  }

  // Changes the template in place; what is shorter is padded with spaces inside its braces.
  void replace_in_source(std::string_view from, std::string to) {
    Blob& blob = files_.files["in"];
    const Bytes wanted = as_bytes(from);
    const auto at = std::search(blob.begin(), blob.end(), wanted.begin(), wanted.end());
    ASSERT_NE(at, blob.end());
    ASSERT_LE(to.size(), from.size());
    to.insert(std::min(to.rfind("}}"), to.size()), from.size() - to.size(), ' ');
    const Bytes bytes = as_bytes(to);
    std::copy(bytes.begin(), bytes.end(), at);
  }

  MemoryFiles files_;
};

TEST_F(PrefixFreezeTest, TheSystemMessageIsRestoredAndGivesTheSameAnswer) {
  const auto report = freeze_it(with_system());
  ASSERT_TRUE(report) << report.error().message;
  ASSERT_EQ(report->prefixes.size(), 1u);
  EXPECT_EQ(report->prefixes[0].name, "system");
  const auto function = thaw_it();
  EXPECT_TRUE(function->prefixes().warnings().empty());
  for (const char* text : {"red", "blue, perhaps", "a", "7", "\n", "  "}) {
    const auto prompt = chat(function->manifest(), text);
    const auto restored = answer(*function, prompt);
    const auto computed = answer(*function, prompt, /*use_prefix=*/false);
    EXPECT_EQ(restored.tokens, computed.tokens) << text;
    EXPECT_EQ(computed.usage.cached_tokens, 0u);
    EXPECT_EQ(restored.usage.prompt_tokens, computed.usage.prompt_tokens);
    EXPECT_LT(restored.usage.cached_tokens, restored.usage.prompt_tokens);
    // A text that begins with white space may merge with the template's line break.
    EXPECT_GE(restored.usage.cached_tokens + 1, report->prefixes[0].tokens) << text;
  }
}

TEST_F(PrefixFreezeTest, AWholePromptThatIsStoredStillComputesItsLastToken) {
  FreezeOptions options = with_system();
  ASSERT_TRUE(freeze_it(options));
  const auto before = thaw_it();
  const auto prompt = chat(before->manifest(), "red");
  const auto tokens = answer(*before, prompt).usage.prompt_tokens;
  std::vector<Token> all;
  handler::GenerationRequest request;
  request.prompt = prompt;
  all = *handler::encode_prompt(before->tokenizer(), nullptr, std::string("red"), {});
  options.prefixes.push_back({"red", "red.json", all});
  ASSERT_TRUE(freeze_it(options));
  const auto function = thaw_it();
  const auto raw = answer(*function, std::string("red"));
  EXPECT_EQ(raw.usage.cached_tokens, raw.usage.prompt_tokens - 1);
  EXPECT_EQ(raw.tokens, answer(*function, std::string("red"), false).tokens);
  EXPECT_EQ(answer(*function, prompt).usage.prompt_tokens, tokens);
}

TEST_F(PrefixFreezeTest, ACallersOwnSystemMessageIsComputed) {
  ASSERT_TRUE(freeze_it(with_system()));
  const auto function = thaw_it();
  const std::vector<text::Message> own = {{"system", "Answer with numbers."}, {"user", "red"}};
  const auto with_prefix = answer(*function, own);
  const auto report = function->prefixes().find("system");
  EXPECT_LT(with_prefix.usage.cached_tokens, report->tokens.size() / 2);  // "<|im_start|>system\n"
  EXPECT_EQ(with_prefix.tokens, answer(*function, own, false).tokens);
}

TEST_F(PrefixFreezeTest, StoresTheTokensThatTwoRendersHaveInCommonNotTwoTexts) {
  // The template puts the user's text right behind a word, so that they may merge into one token.
  replace_in_source(
      "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>'"
      " + '\n' }}",
      "{{ message['content'] + 'th' }}");
  ASSERT_TRUE(freeze_it(with_system("see ")));
  const auto function = thaw_it();
  const auto& stored = function->prefixes().find("system")->tokens;
  const auto tokens_of = [&](const std::string& text) {
    return *handler::encode_prompt(function->tokenizer(), nullptr, text, {});
  };
  // Whatever text follows, its prompt begins with what is stored, but for the last token or two.
  for (const char* user : {"a", "7", "e", "is", "ere"}) {
    const auto prompt = tokens_of(cat("see th", user, "th"));
    std::size_t common = 0;
    while (common < stored.size() && stored[common] == prompt[common]) ++common;
    EXPECT_GE(common + 2, stored.size()) << user;
    const auto restored = answer(*function, chat(function->manifest(), user));
    EXPECT_EQ(restored.tokens, answer(*function, chat(function->manifest(), user), false).tokens);
  }
  const auto one = tokens_of("see tha");
  EXPECT_TRUE(std::equal(stored.begin(), stored.end(), one.begin()));
}

TEST_F(PrefixFreezeTest, NothingOfTheDayIsStored) {
  replace_in_source("{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + ",
                    "{% for message in messages %}{{ strftime_now('%d %B %Y') + '|' + ");
  const auto report = freeze_it(with_system());
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_TRUE(report->prefixes.empty());
  EXPECT_NE(report->notes.back().find("nothing in common"), std::string::npos);
}

TEST_F(PrefixFreezeTest, ASnapshotAgainIsWhatFreezingAtOnceGives) {
  FreezeOptions all = with_system();
  all.prefixes = {{"poem", "poem.txt", std::string("Roses are red, violets are ")},
                  {"ids", "ids.json", std::vector<Token>{5, 6, 7, 8}}};
  ASSERT_TRUE(freeze_it(all, "in", "at once"));
  ASSERT_TRUE(freeze_it({}, "in", "plain"));
  const auto report = freeze_it(all, "plain", "again");
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_TRUE(files_.files["again"] == files_.files["at once"]);
  // Once more with nothing new: copied, not computed, the same bytes.
  const auto copied = freeze_it({}, "again", "copied");
  ASSERT_TRUE(copied);
  for (const PrefixReport& prefix : copied->prefixes) EXPECT_FALSE(prefix.computed) << prefix.name;
  EXPECT_TRUE(files_.files["copied"] == files_.files["at once"]);
  // Back to none.
  FreezeOptions none;
  none.no_prefix = true;
  none.system = "";
  ASSERT_TRUE(freeze_it(none, "again", "none"));
  EXPECT_TRUE(thaw_it("none")->prefixes().all().empty());
}

TEST_F(PrefixFreezeTest, ASnapshotAgainReplacesByNameAndKeepsTheOthers) {
  FreezeOptions options = with_system();
  options.prefixes = {{"a", "a.json", std::vector<Token>{1, 2, 3}},
                      {"b", "b.json", std::vector<Token>{4, 5}}};
  ASSERT_TRUE(freeze_it(options));
  FreezeOptions change = with_system("Another one.");
  change.prefixes = {{"a", "a.json", std::vector<Token>{9, 9, 9, 9}}};
  const auto report = freeze_it(change, "out", "again");
  ASSERT_TRUE(report) << report.error().message;
  std::string what;
  for (const PrefixReport& prefix : report->prefixes) {
    what += cat(prefix.name, prefix.computed ? " computed, " : " kept, ");
  }
  EXPECT_EQ(what, "system computed, b kept, a computed, ");
  const auto function = thaw_it("again");
  EXPECT_EQ(function->prefixes().find("a")->tokens.size(), 4u);
  EXPECT_EQ(function->manifest().system, "Another one.");
  const auto before = snapshot::Reader::open(files_, "out");
  for (const SectionType type : {SectionType::kWeights, SectionType::kTokenizer,
                                 SectionType::kTensors, SectionType::kIdentity}) {
    const auto a = (*before)->section(type);
    const auto b = function->reader().section(type);
    ASSERT_TRUE(a && b);
    EXPECT_TRUE(std::equal(a->begin(), a->end(), b->begin(), b->end()));
  }
  const auto manifest = function->reader().section(SectionType::kManifest);
  EXPECT_NE(as_text(*manifest).find("Another one."), std::string_view::npos);
  EXPECT_NE(as_text(*manifest).find("\"b.json\""), std::string_view::npos);
}

TEST_F(PrefixFreezeTest, APrefixOfAnotherModelIsIgnoredWithAWarningThatNamesIt) {
  FreezeOptions options;
  options.prefixes = {{"stray", "x", std::vector<Token>{1, 2, 3}}};
  ASSERT_TRUE(freeze_it(options, "in", "other"));
  files_.files["in"][files_.files["in"].size() - 100] ^= std::byte{1};  // a weight
  ASSERT_TRUE(freeze_it({}, "in", "plain"));
  // The plain snapshot with the other's prefix, as a careless tool might join them.
  const auto plain = *snapshot::Reader::open(files_, "plain");
  const auto other = *snapshot::Reader::open(files_, "other");
  auto writer = snapshot::Writer::create(files_, "joined");
  for (const snapshot::Section& section : plain->sections()) {
    if (section.type == SectionType::kChecksums) continue;
    ASSERT_TRUE((*writer)->add(section.type, section.name, section.bytes));
  }
  for (const SectionType type : {SectionType::kPrefix, SectionType::kPrefixKv}) {
    ASSERT_TRUE((*writer)->add(type, "stray", *other->section(type)));
  }
  ASSERT_TRUE((*writer)->finish());
  const auto function = thaw_it("joined");
  EXPECT_TRUE(function->prefixes().all().empty());
  ASSERT_EQ(function->prefixes().warnings().size(), 1u);
  EXPECT_NE(function->prefixes().warnings()[0].find("'stray': made for other weights"),
            std::string::npos);
  // Frozen again it is left out, and the report says so.
  const auto again = freeze_it({}, "joined", "again");
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->prefixes.empty());
  EXPECT_NE(again->notes.back().find("'stray'"), std::string::npos);
}

TEST_F(PrefixFreezeTest, RefusesWhatCannotBeStored) {
  const auto refuse = [&](FreezeOptions options, Code code, std::string_view part) {
    const auto result = freeze_it(options);
    ASSERT_FALSE(result) << part;
    EXPECT_EQ(result.error().code, code) << result.error().message;
    EXPECT_NE(result.error().message.find(part), std::string::npos) << result.error().message;
    EXPECT_FALSE(files_.files.contains("out"));
  };
  FreezeOptions options;
  options.prefixes = {{"p", "p", std::vector<Token>(512, 1)}};
  refuse(options, Code::kLimit, "512 tokens, the context holds 512");
  options.prefixes = {{"p", "p", std::vector<Token>{}}};
  refuse(options, Code::kInvalid, "no token");
  options.prefixes = {{"p", "p", std::vector<Token>{288}}};
  refuse(options, Code::kInvalid, "token 288");
  options.prefixes = {{"p", "p", std::vector<Token>{1}}, {"p", "q", std::vector<Token>{2}}};
  refuse(options, Code::kInvalid, "two have this name");
  options.prefixes.clear();
  for (std::size_t i = 0; i <= model::kPrefixesMax; ++i) {
    options.prefixes.push_back({cat("p", i), "p", std::vector<Token>{1}});
  }
  refuse(options, Code::kLimit, "65 prefixes, the limit is 64");
  refuse(with_system(std::string(5000, 'x') + " word"), Code::kLimit, "the context holds 512");
  options = {};
  options.kernels = "abacus";
  options.prefixes = {{"p", "p", std::vector<Token>{1}}};
  refuse(options, Code::kUnsupported, "abacus");
}

TEST_F(PrefixFreezeTest, WithoutATemplateTheSystemMessageHasNoPrefixAndANoteSaysSo) {
  FreezeOptions options = with_system();
  options.chat_template = false;
  options.prefixes = {{"p", "p", std::vector<text::Message>{{"user", "x"}}}};
  EXPECT_EQ(freeze_it(options).error().code, Code::kInvalid);
  options.prefixes = {};
  options.manifest_json = R"({"task":"complete"})";
  const auto report = freeze_it(options);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_TRUE(report->prefixes.empty());
  EXPECT_NE(report->notes.back().find("system message"), std::string::npos);
  // Raw text has prefixes all the same.
  options.prefixes = {{"poem", "poem.txt", std::string("Roses are red, violets are ")}};
  ASSERT_TRUE(freeze_it(options));
  const auto function = thaw_it();
  const auto done = answer(*function, std::string("Roses are red, violets are blue"));
  EXPECT_GT(done.usage.cached_tokens, 3u);
}

TEST_F(PrefixFreezeTest, LeavesNoFileWhateverCallFails) {
  FreezeOptions options = with_system();
  ThreadPool pool(1);
  ASSERT_TRUE(freeze_it(options, "in", "first"));
  for (const char* source : {"in", "first"}) {
    for (const bool torn : {false, true}) {
      std::uint64_t k = 1;
      for (;; ++k) {
        FaultyFiles faulty(files_, {.call = k, .only = {}, .torn = torn});
        const auto result = freeze(faulty, source, "out", options, pool, {});
        if (!faulty.fault_happened()) {
          EXPECT_TRUE(result);
          break;
        }
        if (!result) {
          EXPECT_FALSE(files_.files.contains("out")) << source << ", call " << k;
        }
        files_.files.erase("out");
      }
      EXPECT_GT(k, 8u);
      files_.files.erase("out");
    }
  }
}

TEST(ParsePrefix, ReadsTextConversationsAndTokens) {
  const auto text = parse_prefix("docs/a poem.txt", "Roses");
  ASSERT_TRUE(text);
  EXPECT_EQ(text->name, "a poem");
  EXPECT_EQ(text->file, "a poem.txt");
  EXPECT_EQ(std::get<std::string>(text->opening), "Roses");
  const auto chat = parse_prefix(
      "few.json",
      R"({"messages":[{"role":"user","content":"1"},{"role":"assistant","content":""}]})");
  ASSERT_TRUE(chat) << chat.error().message;
  EXPECT_EQ(std::get<std::vector<text::Message>>(chat->opening)[1].role, "assistant");
  const auto ids = parse_prefix("/x/ids.json", "[1, 2, 3]");
  ASSERT_TRUE(ids);
  EXPECT_EQ(std::get<std::vector<Token>>(ids->opening), (std::vector<Token>{1, 2, 3}));
}

TEST(ParsePrefix, RefusesOtherFormsAndNames) {
  for (const char* contents :
       {"", "{", "7", "{}", R"({"messages":7})", R"({"messages":[7]})",
        R"({"messages":[{"role":"user"}]})", "[-1]", "[1.5]", "[4294967296]", R"(["a"])"}) {
    const auto refused = parse_prefix("x.json", contents);
    ASSERT_FALSE(refused) << contents;
    EXPECT_EQ(refused.error().code, Code::kInvalid);
    EXPECT_EQ(refused.error().message.find('\n'), std::string::npos);
  }
  for (const char* name : {"system.txt", "system", ".txt", "folder/", "a\nb.txt", "\xFF.txt",
                           "a name that is longer than thirty-one bytes.txt"}) {
    EXPECT_FALSE(parse_prefix(name, "text")) << name;
  }
}

}  // namespace
}  // namespace thaw::freeze
