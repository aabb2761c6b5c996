// The command line as a person types it: exit codes, one line for what went wrong, one JSON
// document where asked.

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "base/file.h"
#include "base/str.h"
#include "snapshot/writer.h"
#include "tests/end_to_end/programs.h"

namespace thaw::end_to_end {
namespace {

using nlohmann::json;

json parsed(const std::string& text) {
  json value = json::parse(text, nullptr, /*allow_exceptions=*/false);
  EXPECT_FALSE(value.is_discarded()) << text;
  return value;
}

// A file with these contents, removed with the object.
class Temporary {
 public:
  explicit Temporary(std::string_view contents, std::string_view name = "file")
      : path_(cat(testing::TempDir(), "thaw-cli-", getpid(), "-", name)) {
    auto file = system_files().create(path_);
    EXPECT_TRUE((*file)->append(as_bytes(contents)));
    EXPECT_TRUE((*file)->commit());
  }
  ~Temporary() { unlink(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

void expect_failure(const Finished& run, int code, std::string_view part) {
  EXPECT_EQ(run.code, code) << run.err;
  EXPECT_TRUE(run.out.empty()) << run.out;
  EXPECT_EQ(run.err.find('\n'), run.err.size() - 1) << "not one line: " << run.err;
  EXPECT_NE(run.err.find(part), std::string::npos) << run.err;
}

TEST(CommandLine, WrongUsageIsTwoAndOneLine) {
  expect_failure(run_thaw({}), 2, "thaw --help");
  expect_failure(run_thaw({"melt"}), 2, "melt");
  expect_failure(run_thaw({"freeze"}), 2, "source is required; see 'thaw freeze --help'");
  expect_failure(run_thaw({"freeze", "a", "-o", "b", "--weights", "q3"}), 2, "q3");
  expect_failure(run_thaw({"inspect", "a", "--nonsense"}), 2, "--nonsense");
  expect_failure(run_thaw({"run", "a", "b", "-n", "0"}), 2, "max-tokens");
  expect_failure(run_thaw({"doctor"}, {"THAW_THREADS=many"}), 2, "THAW_THREADS");
  expect_failure(run_thaw({"doctor"}, {"THAW_LOG=loud"}), 2, "THAW_LOG");
}

TEST(CommandLine, WhatStandardOutputDoesNotTakeIsAFailure) {
  const std::string snapshot = snapshot_of(tiny_model());
  const std::vector<std::vector<std::string>> commands = {{"--help"},
                                                          {"inspect", snapshot},
                                                          {"inspect", snapshot, "--json"},
                                                          {"run", snapshot, "ab", "-n", "3"}};
  for (const std::vector<std::string>& words : commands) {
    const Finished full = run_thaw(words, {}, "/dev/full");
    EXPECT_EQ(full.code, 1) << words[0] << ": " << full.err;
    EXPECT_NE(full.err.find("thaw: write standard output: "), std::string::npos) << full.err;
  }
}

TEST(CommandLine, HelpIsOnStdoutAndNamesEveryCommand) {
  const Finished help = run_thaw({"--help"});
  EXPECT_EQ(help.code, 0);
  for (const char* command : {"freeze", "inspect", "run", "tokenize", "score", "emulate",
                              "simulate", "events", "bench", "doctor"}) {
    EXPECT_NE(help.out.find(command), std::string::npos) << command;
  }
  EXPECT_EQ(run_thaw({"--version"}).out.rfind("thaw ", 0), 0u);
}

TEST(CommandLine, WhatCannotBeReadIsOneAndOneLine) {
  const Temporary junk("this is no model");
  for (const char* command : {"inspect", "doctor"}) {
    expect_failure(run_thaw({command, "/nowhere/x.thaw"}), 1, "/nowhere/x.thaw");
    expect_failure(run_thaw({command, junk.path()}), 1, junk.path());
  }
  expect_failure(run_thaw({"freeze", junk.path(), "-o", "/tmp/never.thaw"}), 1, junk.path());
  expect_failure(run_thaw({"freeze", tiny_model(), "-o", "/nowhere/x.thaw"}), 1, "/nowhere/");
  expect_failure(run_thaw({"run", snapshot_of(tiny_model()), "x"}, {"THAW_KERNELS=abacus"}), 1,
                 "kernels 'abacus'");
}

TEST(CommandLine, FreezeShowsATableOrOneDocument) {
  const std::string out = cat(testing::TempDir(), "thaw-cli-", getpid(), ".thaw");
  const Finished table = run_thaw({"freeze", tiny_model(), "-o", out});
  ASSERT_EQ(table.code, 0) << table.err;
  EXPECT_NE(table.out.find("layers.*.query"), std::string::npos);
  EXPECT_NE(table.out.find("Q4_1"), std::string::npos);
  EXPECT_TRUE(table.err.empty()) << "progress, and this is no terminal: " << table.err;
  const json report = parsed(run_thaw({"freeze", tiny_model(), "-o", out, "--json"}).out);
  EXPECT_EQ(report["architecture"], "llama");
  EXPECT_EQ(report["bytes"], system_files().stat(out)->bytes);
  unlink(out.c_str());
}

TEST(CommandLine, InspectVerifiesEveryByte) {
  const std::string snapshot = snapshot_of(tiny_model());
  const json facts = parsed(run_thaw({"inspect", snapshot, "--verify", "--json"}).out);
  EXPECT_EQ(facts["verified"], true);
  EXPECT_EQ(facts["model"]["layers"], 2);
  EXPECT_FALSE(facts["sections"].empty());
  std::string bytes = *read_text(system_files(), snapshot, 64 << 20);
  bytes[bytes.size() / 2] ^= 1;
  const Temporary damaged(bytes, "damaged.thaw");
  EXPECT_EQ(run_thaw({"inspect", damaged.path()}).code, 0);
  expect_failure(run_thaw({"inspect", damaged.path(), "--verify"}), 1, "checksum");
}

TEST(CommandLine, InspectCutsLongTextAndSurvivesADeepManifest) {
  const std::string out = cat(testing::TempDir(), "thaw-cli-", getpid(), "-long.thaw");
  ASSERT_EQ(run_thaw({"freeze", tiny_model(), "-o", out, "--no-prefix", "--system",
                      std::string(900, 'x')})
                .code,
            0);
  const Finished shown = run_thaw({"inspect", out});
  EXPECT_NE(shown.out.find("[...] (900 bytes)"), std::string::npos) << shown.out;
  const json all = parsed(run_thaw({"inspect", out, "--json"}).out);
  EXPECT_EQ(all["manifest"]["system"].get<std::string>().size(), 900u);
  unlink(out.c_str());

  auto writer = snapshot::Writer::create(system_files(), out);
  ASSERT_TRUE(
      (*writer)->add(snapshot::SectionType::kManifest, {}, as_bytes(std::string(2'000'000, '['))));
  ASSERT_TRUE((*writer)->finish());
  EXPECT_EQ(run_thaw({"inspect", out}).code, 0);
  EXPECT_TRUE(parsed(run_thaw({"inspect", out, "--json"}).out)["manifest"].is_null());
  expect_failure(run_thaw({"freeze", out, "-o", "/tmp/never.thaw", "--system", "x"}), 1,
                 "manifest");
  unlink(out.c_str());
}

TEST(CommandLine, TokenizeKeepsSpecialSpellingsPlainUnlessAsked) {
  const Temporary text("<|im_end|>");
  const std::string snapshot = snapshot_of(tiny_model());
  const json plain = parsed(run_thaw({"tokenize", snapshot, "--text", text.path()}).out);
  const json special =
      parsed(run_thaw({"tokenize", snapshot, "--text", text.path(), "--special"}).out);
  EXPECT_GT(plain.size(), 1u);
  EXPECT_EQ(special.size(), 1u);
}

TEST(CommandLine, ScoreAgreesWithItsOwnLogits) {
  const std::string snapshot = snapshot_of(tiny_model());
  const Temporary tokens("[5, 17, 200, 3, 99]", "ids.json");
  const std::string npy = cat(testing::TempDir(), "thaw-cli-", getpid(), ".npy");
  const Finished scored =
      run_thaw({"score", snapshot, "--tokens", tokens.path(), "--logits", npy, "--json"});
  ASSERT_EQ(scored.code, 0) << scored.err;
  const json result = parsed(scored.out);
  EXPECT_EQ(result["tokens"], 5);
  EXPECT_EQ(result["digest"].get<std::string>().size(), 32u);
  const std::string file = *read_text(system_files(), npy, 64 << 20);
  unlink(npy.c_str());
  ASSERT_EQ(file.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
  const std::size_t data =
      10 + static_cast<unsigned char>(file[8]) + 256 * static_cast<unsigned char>(file[9]);
  EXPECT_EQ(data % 64, 0u);
  EXPECT_NE(file.find("(5, 288)"), std::string::npos);
  ASSERT_EQ(file.size(), data + 5 * 288 * sizeof(float));
  const std::uint32_t ids[] = {5, 17, 200, 3, 99};
  double nll = 0;
  for (std::size_t t = 0; t < 4; ++t) {
    double sum = 0;
    const auto logit = [&](std::size_t i) {
      return static_cast<double>(
          load<float>(as_bytes(file).data() + data + (t * 288 + i) * sizeof(float)));
    };
    for (std::size_t i = 0; i < 288; ++i) sum += std::exp(logit(i));
    nll += std::log(sum) - logit(ids[t + 1]);
  }
  EXPECT_NEAR(result["mean_nll"].get<double>(), nll / 4, 1e-9);
  EXPECT_NEAR(result["perplexity"].get<double>() / std::exp(nll / 4), 1, 1e-9);
}

TEST(CommandLine, ScoreRefusesWhatIsNoListOfTokens) {
  const std::string snapshot = snapshot_of(tiny_model());
  for (const char* text : {"{}", "[1, -2]", "[1.5]", "[", "[99999999999]"}) {
    const Temporary tokens(text, "ids.json");
    expect_failure(run_thaw({"score", snapshot, "--tokens", tokens.path()}), 1, "token ids");
  }
  const Temporary beyond("[288]", "ids.json");
  expect_failure(run_thaw({"score", snapshot, "--tokens", beyond.path()}), 1, "vocabulary");
  expect_failure(run_thaw({"score", snapshot}), 1, "--text");
  const Temporary longer(cat(
                             "[",
                             [] {
                               std::string ids = "1";
                               for (int i = 0; i < 512; ++i) ids += ",1";
                               return ids;
                             }(),
                             "]"),
                         "ids.json");
  expect_failure(run_thaw({"score", snapshot, "--tokens", longer.path()}), 1, "context");
}

TEST(CommandLine, FreezeStoresPrefixesThatRunAndScoreUse) {
  const Temporary poem("Roses are red, violets are ", "poem.txt");
  const Temporary ids("[5, 17, 200, 3, 99, 4, 7]", "ids.json");
  const std::string poem_name = poem.path().substr(poem.path().rfind('/') + 1);
  const Temporary manifest(cat(R"({"name":"bard","prefixes":[")", poem_name, R"("]})"),
                           "function.json");
  const std::string out = cat(testing::TempDir(), "thaw-cli-", getpid(), "-prefix.thaw");
  const Finished frozen =
      run_thaw({"freeze", tiny_model(), "-o", out, "--system", "You are a poet.", "--prefix",
                ids.path(), "--manifest", manifest.path(), "--json"});
  ASSERT_EQ(frozen.code, 0) << frozen.err;
  const json report = parsed(frozen.out);
  ASSERT_EQ(report["prefixes"].size(), 3u);
  EXPECT_EQ(report["prefixes"][0]["name"], "system");
  const json facts = parsed(run_thaw({"inspect", out, "--verify", "--json"}).out);
  EXPECT_EQ(facts["prefixes"][2]["tokens"], 7);
  EXPECT_EQ(facts["manifest"]["prefixes"][0], poem_name);
  EXPECT_EQ(facts["manifest"]["system"], "You are a poet.");

  const json restored =
      parsed(run_thaw({"run", out, "Roses are red, violets are blue", "-n", "8", "--json"}).out);
  const json computed = parsed(
      run_thaw({"run", out, "Roses are red, violets are blue", "-n", "8", "--json", "--no-prefix"})
          .out);
  EXPECT_EQ(restored["tokens"], computed["tokens"]);
  EXPECT_EQ(computed["usage"]["cached_tokens"], 0);
  EXPECT_GT(restored["usage"]["cached_tokens"], report["prefixes"][0]["tokens"]);
  EXPECT_TRUE(restored["timings"].contains("prefix_ms"));
  EXPECT_EQ(restored["timings"]["clock"], "process");

  const Temporary text("[5, 17, 200, 3, 99, 4, 7, 8, 9, 10]", "text.json");
  const auto score = [&](std::vector<std::string> more) {
    std::vector<std::string> words = {"score", out, "--tokens", text.path(), "--json"};
    words.insert(words.end(), more.begin(), more.end());
    return parsed(run_thaw(words).out);
  };
  for (const char* from : {"4", "7", "9"}) {
    const json plain = score({"--from", from});
    const json prefixed = score({"--from", from, "--prefix"});
    EXPECT_EQ(plain["digest"], prefixed["digest"]) << from;
    EXPECT_EQ(plain["mean_nll"], prefixed["mean_nll"]) << from;
    EXPECT_EQ(plain["cached_tokens"], 0);
    EXPECT_EQ(prefixed["cached_tokens"], std::min(7, std::stoi(from)));
  }
  EXPECT_EQ(score({"--prefix"})["from"], 7);
  EXPECT_EQ(score({"--prefix"})["digest"], score({"--from", "7"})["digest"]);
  EXPECT_NE(score({})["digest"], score({"--from", "7"})["digest"]);
  expect_failure(run_thaw({"score", out, "--tokens", text.path(), "--from", "10"}), 1, "--from 10");
  expect_failure(run_thaw({"freeze", tiny_model(), "-o", out, "--prefix", "/nowhere.txt"}), 1,
                 "/nowhere.txt");
  const Temporary broken("{", "broken.json");
  expect_failure(run_thaw({"freeze", tiny_model(), "-o", out, "--prefix", broken.path()}), 1,
                 "broken.json");
  unlink(out.c_str());
}

TEST(CommandLine, RunGivesTheSameTextForTheSameSeed) {
  const std::string snapshot = snapshot_of(tiny_model());
  const auto run = [&](const std::string& seed) {
    return parsed(run_thaw({"run", snapshot, "Hello", "-n", "16", "--temperature", "1.5", "--seed",
                            seed, "--json"})
                      .out);
  };
  const json one = run("7");
  EXPECT_EQ(one["text"], run("7")["text"]);
  EXPECT_EQ(one["tokens"], run("7")["tokens"]);
  EXPECT_NE(one["tokens"], run("8")["tokens"]);
  EXPECT_TRUE(one.contains("timings"));
  EXPECT_TRUE(one["usage"].contains("prompt_tokens"));
  expect_failure(run_thaw({"run", snapshot, "x", "--temperature", "-1"}), 1, "temperature");
}

TEST(CommandLine, BenchAndDoctorGiveDocuments) {
  const std::string snapshot = snapshot_of(tiny_model());
  const json speeds = parsed(
      run_thaw({"bench", snapshot, "--prompt", "32", "--generate", "8", "--rounds", "1", "--json"})
          .out);
  for (const char* key : {"prefill_tokens_per_s", "decode_tokens_per_s", "read_bytes_per_s",
                          "integer_ops_per_s", "decode_read_fraction"}) {
    EXPECT_TRUE(speeds[key].is_number()) << key;
  }
  EXPECT_GT(speeds["decode_tokens_per_s"], 0);
  EXPECT_EQ(speeds["prefill"].size(), 1u);
  const json all = parsed(run_thaw({"bench", snapshot, "--rounds", "1", "--json"}).out);
  EXPECT_GT(all["prefill"].size(), 1u);
  std::set<int> batches;
  for (const json& point : all["decode"]) {
    EXPECT_GT(point["tokens_per_s"], 0);
    batches.insert(point["batch"].get<int>());
  }
  EXPECT_EQ(batches, (std::set<int>{1, 2, 4, 8}));
  expect_failure(run_thaw({"bench", snapshot, "--prompt", "0"}), 1, "wanted at least 1");
  const json findings = parsed(run_thaw({"doctor", snapshot, "--json"}).out)["findings"];
  std::string topics;
  for (const json& finding : findings) topics += finding["topic"].get<std::string>() + " ";
  for (const char* topic : {"kernels", "processors", "memory", "snapshot", "page cache"}) {
    EXPECT_NE(topics.find(topic), std::string::npos) << topic;
  }
}

}  // namespace
}  // namespace thaw::end_to_end
