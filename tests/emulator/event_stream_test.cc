#include "runtime/emulator/event_stream.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "event_stream_reader.h"

namespace thaw::emulator {
namespace {

TEST(Crc32Ieee, IsZlibsAndNotCastagnolis) {
  EXPECT_EQ(crc32_ieee(""), 0u);
  EXPECT_EQ(crc32_ieee("123456789"), 0xCBF43926u);
  EXPECT_EQ(crc32_ieee("The quick brown fox jumps over the lazy dog"), 0x414FA339u);
}

// The empty message and the one with a payload alone are in AWS's own test vectors
// (smithy's "empty_message" and "payload_no_headers").
TEST(EventMessage, IsByteForByteAwss) {
  const std::string empty("\x00\x00\x00\x10\x00\x00\x00\x00\x05\xc2\x48\xeb\x7d\x98\xc8\xff", 16);
  EXPECT_EQ(event_message({}, ""), empty);
  const std::string payload = std::string("\x00\x00\x00\x1d\x00\x00\x00\x00\xfd\x52\x8c\x5a", 12) +
                              "{'foo':'bar'}" + std::string("\xc3\x65\x39\x36", 4);
  EXPECT_EQ(event_message({}, "{'foo':'bar'}"), payload);
}

TEST(EventMessage, IsReadBackWholeAndNotAtAllWhenAByteIsWrong) {
  const std::string message = payload_chunk(std::string("ab\0c", 4));
  const auto read = read_messages(message);
  ASSERT_TRUE(read);
  ASSERT_EQ(read->size(), 1u);
  EXPECT_EQ((*read)[0].headers.at(":message-type"), "event");
  EXPECT_EQ((*read)[0].headers.at(":event-type"), "PayloadChunk");
  EXPECT_EQ((*read)[0].headers.at(":content-type"), "application/octet-stream");
  EXPECT_EQ((*read)[0].payload, std::string("ab\0c", 4));
  for (std::size_t i = 0; i < message.size(); ++i) {
    std::string corrupt = message;
    corrupt[i] = static_cast<char>(corrupt[i] ^ 0x20);
    EXPECT_FALSE(read_messages(corrupt)) << "byte " << i;
    EXPECT_FALSE(i > 0 && read_messages(message.substr(0, i))) << "cut to " << i;
  }
}

TEST(InvokeComplete, SaysOnlyWhatThereIs) {
  EXPECT_EQ((*read_messages(invoke_complete("", "", "")))[0].payload, "{}");
  EXPECT_EQ((*read_messages(invoke_complete("Runtime.ExitError", "{\"a\":1}", "bG9n")))[0].payload,
            R"({"ErrorCode":"Runtime.ExitError","ErrorDetails":"{\"a\":1}","LogResult":"bG9n"})");
}

}  // namespace
}  // namespace thaw::emulator
