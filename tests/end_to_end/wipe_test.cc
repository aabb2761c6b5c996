// Nothing that a caller said, or was told, is left in the memory of the process that answered.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "base/bytes.h"
#include "base/file.h"
#include "base/random.h"
#include "base/str.h"
#include "tests/end_to_end/programs.h"

namespace thaw::end_to_end {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

// Larger ones are a sanitizer's shadow.
constexpr std::uint64_t kMappingBytesMax = 1u << 30;

// How often `wanted` stands in memory that process `pid` can write to.
std::size_t occurrences(pid_t pid, std::string_view wanted) {
  std::ifstream maps(cat("/proc/", pid, "/maps"));
  const int memory = open(cat("/proc/", pid, "/mem").c_str(), O_RDONLY | O_CLOEXEC);
  EXPECT_TRUE(maps && memory >= 0) << "cannot read the memory of process " << pid;
  std::size_t count = 0;
  std::uint64_t bytes_read = 0;
  for (std::string line; std::getline(maps, line);) {
    std::uint64_t begin = 0, end = 0;
    char permissions[5] = {};
    std::sscanf(line.c_str(), "%lx-%lx %4s", &begin, &end, permissions);
    if (permissions[1] != 'w' || end - begin > kMappingBytesMax) continue;
    std::string bytes(end - begin, '\0');
    const ssize_t got = pread(memory, bytes.data(), bytes.size(), static_cast<off_t>(begin));
    bytes.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    bytes_read += bytes.size();
    for (std::size_t at = bytes.find(wanted); at != std::string::npos;
         at = bytes.find(wanted, at + 1)) {
      ++count;
    }
  }
  close(memory);
  EXPECT_GT(bytes_read, 100'000u) << "hardly any memory could be read";
  return count;
}

// An answer reaches its caller a moment before the process is done with it.
std::size_t occurrences_left(pid_t pid, std::string_view wanted) {
  std::size_t count = 0;
  for (int tries = 0; tries < 20; ++tries) {
    count = occurrences(pid, wanted);
    if (count == 0) break;
    std::this_thread::sleep_for(100ms);
  }
  return count;
}

// What nobody else says.
std::string make_secret() {
  static Random random(20'250'607);
  std::string secret;
  while (secret.size() < 48) secret += static_cast<char>('a' + random.below(26));
  return secret;
}

std::string base64(const std::string& text) {
  static constexpr char kDigits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string to;
  for (std::size_t i = 0; i + 3 <= text.size(); i += 3) {
    const unsigned bits = static_cast<unsigned char>(text[i]) << 16 |
                          static_cast<unsigned char>(text[i + 1]) << 8 |
                          static_cast<unsigned char>(text[i + 2]);
    for (const unsigned shift : {18, 12, 6, 0}) to += kDigits[bits >> shift & 63];
  }
  return to;
}

std::string as_ids(const json& tokens) {
  std::string bytes;
  for (const std::uint32_t token : tokens.get<std::vector<std::uint32_t>>()) {
    bytes.append(reinterpret_cast<const char*>(&token), sizeof token);
  }
  return bytes;
}

class Memory : public testing::Test {
 protected:
  Memory() : emulated_(snapshot_of(tiny_model())) {}

  // The one process that has answered.
  pid_t instance() const {
    const std::vector<pid_t> all = emulated_.instances();
    EXPECT_EQ(all.size(), 1u);
    return all.empty() ? 0 : all[0];
  }

  Emulated emulated_;
};

TEST_F(Memory, OfAProcessThatHoldsASecretShowsIt) {
  const std::string secret = make_secret();
  EXPECT_GE(occurrences(getpid(), secret), 1u);
}

TEST_F(Memory, KeepsNothingOfADirectEvent) {
  const std::string secret = make_secret();
  const json event = {{"prompt", secret}, {"max_tokens", 24}};
  const json answer = json::parse(emulated_.invoke(event.dump()).body, nullptr, false);
  ASSERT_TRUE(answer.contains("text")) << answer.dump();
  const std::string text = answer["text"];
  ASSERT_GE(text.size(), 16u);
  EXPECT_EQ(occurrences_left(instance(), secret), 0u) << "the prompt";
  EXPECT_EQ(occurrences_left(instance(), secret.substr(0, 15)), 0u) << "the prompt's beginning";
  EXPECT_EQ(occurrences_left(instance(), text), 0u) << "the answer";
  EXPECT_EQ(occurrences_left(instance(), text.substr(text.size() - 12)), 0u) << "the answer's end";

  // The same as token ids.
  const std::string snapshot = snapshot_of(tiny_model());
  const json run = json::parse(run_thaw({"run", snapshot, secret, "-n", "24", "--json"}).out);
  ASSERT_EQ(run["text"], text);
  EXPECT_EQ(occurrences_left(instance(), as_ids(run["tokens"])), 0u) << "the answer's tokens";
}

TEST_F(Memory, KeepsNothingOfARawPromptsTokens) {
  const std::string secret = make_secret();
  const std::string path = cat(testing::TempDir(), "thaw-secret-", getpid());
  std::ofstream(path) << secret;
  const Finished tokens = run_thaw({"tokenize", snapshot_of(tiny_model()), "--text", path});
  unlink(path.c_str());
  ASSERT_EQ(tokens.code, 0) << tokens.err;
  emulated_.invoke(json{{"prompt", secret}, {"max_tokens", 1}}.dump());
  const std::string ids = as_ids(json::parse(tokens.out));
  ASSERT_GE(ids.size(), 32u);
  // Whatever stands before the text.
  EXPECT_EQ(occurrences_left(instance(), std::string_view(ids).substr(8)), 0u);
}

TEST_F(Memory, KeepsNothingOfAnHttpEventInBase64) {
  const std::string secret = make_secret();
  json event =
      json::parse(*read_text(system_files(), THAW_SOURCE_DIR "/deploy/demo_event.json", 1 << 20));
  std::string body = json{{"prompt", secret}, {"max_tokens", 4}}.dump();
  body.resize((body.size() + 2) / 3 * 3, ' ');
  event["body"] = base64(body);
  event["isBase64Encoded"] = true;
  event["rawPath"] = "/predict";
  event["requestContext"]["http"]["path"] = "/predict";
  const json answer = json::parse(emulated_.invoke(event.dump()).body, nullptr, false);
  ASSERT_EQ(answer["statusCode"], 200) << answer.dump();
  EXPECT_EQ(occurrences_left(instance(), secret), 0u);
  EXPECT_EQ(occurrences_left(instance(), event["body"].get<std::string>().substr(24, 32)), 0u);
}

TEST_F(Memory, KeepsNothingOfAStreamedChat) {
  const std::string secret = make_secret();
  const json request = {{"messages", {{{"role", "user"}, {"content", "\u00e9" + secret}}}},
                        {"max_tokens", 24},
                        {"stream", true}};
  const http::Response response =
      emulated_.url("POST", "/v1/chat/completions", request.dump(-1, ' ', true));
  ASSERT_EQ(response.status, 200) << response.body;
  ASSERT_NE(response.body.find("data: "), std::string::npos);
  EXPECT_EQ(occurrences_left(instance(), secret), 0u);
  EXPECT_EQ(occurrences_left(instance(), "\"delta\":{\"content\":\""), 0u) << "the stream's parts";
}

TEST_F(Memory, KeepsNothingOfAnEventThatIsRefused) {
  const std::string secret = make_secret();
  for (const json& event : {json{{"prompt", secret}, {"max_tokens", -1}}, json{{secret, 1}},
                            json{{"messages", {{{"role", secret}, {"content", secret}}}}}}) {
    emulated_.invoke(event.dump());
    EXPECT_EQ(occurrences_left(instance(), secret), 0u) << event.dump();
  }
}

// Many threads answer, and a connection that is kept alive has buffers of its own.
TEST(MemoryBehindAPort, KeepsNothingOfAChatOnAConnectionThatLivesOn) {
  for (const auto program : {Served::Program::kThaw, Served::Program::kBootstrap}) {
    Served served(program, snapshot_of(tiny_model()));
    auto client = http::Client::create(served.authority());
    ASSERT_TRUE(client.has_value());
    for (const bool stream : {false, true}) {
      const std::string secret = make_secret();
      const json request = {{"messages", {{{"role", "user"}, {"content", "\u00e9" + secret}}}},
                            {"max_tokens", 24},
                            {"stream", stream}};
      const std::string body = request.dump(-1, ' ', true);
      http::Call call;
      call.method = "POST";
      call.target = "/v1/chat/completions";
      call.body = body;
      const auto answer = (*client)->request(call);
      ASSERT_TRUE(answer.has_value());
      ASSERT_EQ(answer->status, 200) << answer->body;
      EXPECT_TRUE((*client)->connected());
      EXPECT_EQ(occurrences_left(served.process(), secret), 0u) << stream;
      const char* answered =
          stream ? "\"delta\":{\"content\":\"" : "\"role\":\"assistant\",\"content\":\"";
      ASSERT_NE(answer->body.find(answered), std::string::npos) << answer->body;
      EXPECT_EQ(occurrences_left(served.process(), answered), 0u) << stream;
    }
  }
}

}  // namespace
}  // namespace thaw::end_to_end
