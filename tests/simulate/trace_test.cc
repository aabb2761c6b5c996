// Readers of traces: each format, and what is said of each thing that can be wrong with it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "base/random.h"
#include "base/str.h"
#include "runtime/simulate/arrivals.h"

namespace thaw::simulate {
namespace {

using namespace std::chrono_literals;

// Gives `text` in pieces of at most `piece` bytes.
ReadBytes reader(std::string text, std::size_t piece = 1 << 20) {
  return [text = std::move(text), at = std::size_t{0}, piece](char* to, std::size_t count) mutable {
    count = std::min({count, piece, text.size() - at});
    std::memcpy(to, text.data() + at, count);
    at += count;
    return Result<std::size_t>(count);
  };
}

Result<std::vector<Arrival>> all_of(const std::string& text, std::size_t piece = 1 << 20) {
  THAW_TRY(trace, open_trace(reader(text, piece), {"t", {7, 3, 0}, 1}));
  std::vector<Arrival> arrivals;
  while (true) {
    THAW_TRY(arrival, trace->next());
    if (!arrival) return arrivals;
    arrivals.push_back(*arrival);
  }
}

std::string refused(const std::string& text) {
  const auto read = all_of(text);
  if (read) return "read";
  EXPECT_EQ(read.error().code, Code::kInvalid);
  EXPECT_EQ(read.error().message.find('\n'), std::string::npos);
  return read.error().message;
}

TEST(Trace, ReadsCsvInAnyOrderOfColumns) {
  const std::string text =
      "function,output_tokens,at,prompt_tokens\r\n"
      "chat,5,0.25,100\n\ncode,6,1,200\nchat,7,1,300";
  for (const std::size_t piece : {1, 3, 1 << 20}) {
    const auto read = all_of(text, piece);
    ASSERT_TRUE(read) << read.error().message;
    ASSERT_EQ(read->size(), 3u);
    EXPECT_EQ((*read)[0].at, 250ms);
    EXPECT_EQ((*read)[0].prompt_tokens, 100u);
    EXPECT_EQ((*read)[0].output_tokens, 5u);
    EXPECT_EQ((*read)[1].function, 1u);
    EXPECT_EQ((*read)[2].function, 0u);
    EXPECT_EQ((*read)[2].at, 1s);
  }
}

TEST(Trace, StandsInForTokensThatAreNotTold) {
  const auto read = all_of("at\n1\n");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->at(0).prompt_tokens, 7u);
  EXPECT_EQ(read->at(0).output_tokens, 3u);
}

TEST(Trace, ReadsJsonLines) {
  const auto read = all_of(
      "{\"at\": 0.5, \"prompt_tokens\": 10, \"output_tokens\": 2, \"function\": \"a\"}\n\n"
      "{\"at\": 1.5, \"function\": \"b\", \"note\": []}");
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->size(), 2u);
  EXPECT_EQ((*read)[0].at, 500ms);
  EXPECT_EQ((*read)[0].prompt_tokens, 10u);
  EXPECT_EQ((*read)[1].function, 1u);
  EXPECT_EQ((*read)[1].output_tokens, 3u);
}

std::string azure_heading() {
  std::string text = "HashOwner,HashApp,HashFunction,Trigger";
  for (int minute = 1; minute <= 1440; ++minute) text += cat(",", minute);
  return text + "\n";
}

std::string azure_row(const std::vector<std::pair<int, int>>& counts) {
  std::string text = "o,a,f,http";
  for (int minute = 1; minute <= 1440; ++minute) {
    int count = 0;
    for (const auto& [at, n] : counts) count += at == minute ? n : 0;
    text += cat(",", count);
  }
  return text + "\n";
}

TEST(Trace, SpreadsAzuresCountsOverTheirMinute) {
  const auto read =
      all_of(azure_heading() + azure_row({{1, 3}, {1440, 1}}) + azure_row({{1, 2}, {7, 50}}));
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->size(), 56u);
  EXPECT_TRUE(std::is_sorted(read->begin(), read->end(),
                             [](const Arrival& a, const Arrival& b) { return a.at < b.at; }));
  EXPECT_LT((*read)[4].at, 1min);
  for (std::size_t i = 5; i < 55; ++i) {
    EXPECT_GE((*read)[i].at, 6min);
    EXPECT_LT((*read)[i].at, 7min);
    EXPECT_EQ((*read)[i].function, 1u);
  }
  EXPECT_GE((*read)[55].at, 1439min);
  EXPECT_EQ((*read)[55].function, 0u);
}

TEST(Trace, ReadsAzuresLlmTraces) {
  const auto read = all_of(
      "TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 23:59:59.5000000,374,44\r\n"
      "2023-11-17 00:00:00.2500000,396,109\r\n2023-11-17 00:00:01,1,1\r\n");
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->size(), 3u);
  EXPECT_EQ((*read)[0].at, 0s);
  EXPECT_EQ((*read)[1].at, 750ms);
  EXPECT_EQ((*read)[1].prompt_tokens, 396u);
  EXPECT_EQ((*read)[1].output_tokens, 109u);
  EXPECT_EQ((*read)[2].at, 1500ms);
}

TEST(Trace, NamesTheLineOfWhatItCannotRead) {
  const std::string tokens = "want a whole number, 0 to 10000000";
  EXPECT_EQ(refused("at,prompt_tokens\n0,1\n1,x\n"), "trace 't': line 3: found 'x', " + tokens);
  EXPECT_EQ(refused("at,prompt_tokens\n0,-1\n"), "trace 't': line 2: found '-1', " + tokens);
  EXPECT_EQ(refused("at,output_tokens\n0,10000001\n"),
            "trace 't': line 2: found '10000001', " + tokens);
  EXPECT_EQ(refused("at\nsoon\n"), "trace 't': line 2: found 'soon', want seconds, 0 to ten years");
  EXPECT_EQ(refused("at\n-1\n"), "trace 't': line 2: found '-1', want seconds, 0 to ten years");
  EXPECT_EQ(refused("at\nnan\n"), "trace 't': line 2: found 'nan', want seconds, 0 to ten years");
  EXPECT_EQ(refused("at\n1e300\n"),
            "trace 't': line 2: found '1e300', want seconds, 0 to ten years");
  EXPECT_EQ(refused("at\n2\n1\n"),
            "trace 't': line 3: found '1', want arrivals in order of time; sort the trace");
  EXPECT_EQ(refused("at,function\n1\n"),
            "trace 't': line 2: found '1 fields', want 2 as in the heading");
  EXPECT_EQ(refused("at,when\n"),
            "trace 't': line 1: found 'when', want at, prompt_tokens, output_tokens or function, "
            "each once");
  EXPECT_EQ(refused("at,at\n").substr(0, 29), "trace 't': line 1: found 'at'");
  EXPECT_EQ(refused("function\n"), "trace 't': line 1: found 'function', want a column 'at'");
  EXPECT_EQ(refused(""), "trace 't': line 0: found 'nothing', want a heading or a JSON object");
  EXPECT_EQ(refused("at\n" + std::string(70'000, '1') + "\n"),
            "trace 't': line 2: found 'a longer line', want at most 65536 bytes");
  EXPECT_EQ(refused(std::string(1'000'000, 'a')),
            "trace 't': line 1: found 'a longer line', want at most 65536 bytes");
  EXPECT_EQ(refused("at\n\x01\n"), "trace 't': line 2: found '?', want seconds, 0 to ten years");
}

TEST(Trace, NamesWhatIsWrongWithJson) {
  EXPECT_EQ(refused("{\"at\":1}\n[]\n"),
            "trace 't': line 2: found 'no JSON object', want one a line");
  EXPECT_EQ(refused("{\"at\":1}\n{\"at\":\n"),
            "trace 't': line 2: found 'no JSON object', want one a line");
  EXPECT_EQ(refused("{\"at\":\"1\"}"),
            "trace 't': line 1: found 'no number 'at'', want seconds, 0 to ten years");
  EXPECT_EQ(refused("{\"at\":-1}"), "trace 't': line 1: found '-1', want seconds, 0 to ten years");
  EXPECT_EQ(refused("{\"at\":1,\"prompt_tokens\":1.5}"),
            "trace 't': line 1: found '1.5', want a whole number, 0 to 10000000");
  EXPECT_EQ(refused("{\"at\":1,\"function\":3}"),
            "trace 't': line 1: found 'a function that is no text', want its name");
}

TEST(Trace, NamesWhatIsWrongWithAzures) {
  EXPECT_EQ(refused("HashOwner,1,2\n"),
            "trace 't': line 1: found 'HashOwner,1,2', want "
            "HashOwner,HashApp,HashFunction,Trigger,1,2,...,1440");
  EXPECT_EQ(refused(azure_heading() + "a,b,c,d,1\n"),
            "trace 't': line 2: found '5 fields', want 1444");
  std::string row = azure_row({});
  row[row.size() - 2] = 'x';
  EXPECT_EQ(refused(azure_heading() + row),
            "trace 't': line 2: found 'x', want a count, 0 to 10000000");
  EXPECT_EQ(refused(azure_heading() + azure_row({{2, 9'000'000}}) + azure_row({{2, 2'000'000}})),
            "trace 't': line 3: found '11000000 invocations in minute 2', want at most 10000000 of "
            "all functions");
  EXPECT_EQ(refused("TIMESTAMP,Tokens\n"),
            "trace 't': line 1: found 'TIMESTAMP,Tokens', want "
            "TIMESTAMP,ContextTokens,GeneratedTokens");
  const std::string llm = "TIMESTAMP,ContextTokens,GeneratedTokens\n";
  for (const char* time : {"2023-11-16", "2023-13-16 00:00:00", "2023-02-30 00:00:00",
                           "2023-11-16 24:00:00", "2023-11-16 00:00:00.", "2023-11-16 00:00:00x",
                           "9999-01-01 00:00:00", "2023/11/16 00:00:00"}) {
    EXPECT_EQ(refused(llm + time + ",1,1\n"),
              cat("trace 't': line 2: found '", time, "', want a time, YYYY-MM-DD HH:MM:SS.FFF"));
  }
  EXPECT_EQ(refused(llm + "2023-11-16 00:00:01,1,1\n2023-11-16 00:00:00,1,1\n").substr(0, 19),
            "trace 't': line 3: ");
  EXPECT_EQ(refused(llm + "2023-11-16 00:00:01,1\n"),
            "trace 't': line 2: found '2 fields', want 3");
}

TEST(Trace, PassesOnWhatAFileSays) {
  const auto read = open_trace(
      [](char*, std::size_t) { return Result<std::size_t>(fail(Code::kIo, "read: gone")); }, {});
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Code::kIo);
}

// Whatever a byte becomes, the trace is read or refused, in order and in one line.
TEST(Trace, SurvivesAnyByte) {
  const std::string sound[] = {
      "at,prompt_tokens,output_tokens,function\n0.5,1,2,a\n1.25,3,4,b\n",
      "{\"at\":1,\"prompt_tokens\":3,\"function\":\"x\"}\n{\"at\":2}\n",
      "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.68,374,44\n",
  };
  Random random(5);
  for (const std::string& text : sound) {
    for (std::size_t i = 0; i < text.size(); ++i) {
      for (int round = 0; round < 40; ++round) {
        std::string changed = text;
        changed[i] = static_cast<char>(random.below(256));
        if (round == 0) changed.resize(i);
        const auto read = all_of(changed);
        if (!read) {
          EXPECT_EQ(read.error().message.find('\n'), std::string::npos);
          continue;
        }
        for (std::size_t n = 1; n < read->size(); ++n) EXPECT_LE((*read)[n - 1].at, (*read)[n].at);
      }
    }
  }
}

}  // namespace
}  // namespace thaw::simulate
