// Parts of the room without a connection: fields, framing, addresses, the message reader.
#include <gtest/gtest.h>

#include "base/random.h"
#include "runtime/http/framing.h"
#include "runtime/http/reader.h"
#include "runtime/http/socket.h"

namespace thaw::http {
namespace {

using Side = MessageReader::Side;

TEST(Fields, ComparesNamesWithoutCase) {
  Fields fields{{"Content-Type", "a/b"}, {"X", "1"}};
  fields.add("x", "2");
  EXPECT_EQ(fields.get("content-TYPE"), "a/b");
  EXPECT_EQ(fields.get("X"), "1");
  EXPECT_FALSE(fields.has("Content"));
  EXPECT_EQ(fields.size(), 3u);
  EXPECT_FALSE(same_name("abc", "abcd"));
}

TEST(Framing, RefusesFieldsThatBreakTheMessage) {
  EXPECT_TRUE(check_fields({{"X-A", "any \xFFthing\t"}}).has_value());
  const Fields kBad[] = {{{"X", "a\r\nY: b"}},
                         {{"X", std::string("a\0b", 3)}},
                         {{"X\r", "a"}},
                         {{"", "a"}},
                         {{"X Y", "a"}},
                         {{"Content-Length", "1"}},
                         {{"connection", "close"}},
                         {{"Transfer-encoding", "x"}},
                         {{"Trailer", "x"}},
                         {{"X", "\x7F"}}};
  for (const Fields& bad : kBad) {
    const auto checked = check_fields(bad);
    ASSERT_FALSE(checked.has_value()) << bad.begin()->name;
    EXPECT_EQ(checked.error().code, Code::kInvalid);
  }
  EXPECT_FALSE(is_target("/a b"));
  EXPECT_FALSE(is_target(""));
  EXPECT_FALSE(is_token("GET "));
  std::string chunk;
  append_chunk(chunk, std::string(300, 'x'));
  EXPECT_EQ(chunk, "12c\r\n" + std::string(300, 'x') + "\r\n");
}

TEST(Address, ReadsNumericAuthorities) {
  const struct {
    std::string_view authority, host;
    std::uint16_t port;
  } kGood[] = {{"127.0.0.1:9001", "127.0.0.1", 9001},
               {"127.0.0.1", "127.0.0.1", 80},
               {"[::1]:81", "::1", 81},
               {"[::1]", "::1", 80},
               {"localhost:9001", "127.0.0.1", 9001},
               {"localhost", "127.0.0.1", 80}};
  for (const auto& each : kGood) {
    const auto parsed = parse_authority(each.authority);
    ASSERT_TRUE(parsed.has_value()) << each.authority;
    EXPECT_EQ(parsed->front().host, each.host);
    EXPECT_EQ(parsed->front().port, each.port);
  }
  EXPECT_EQ(parse_authority("localhost:1")->size(), 2u);
  for (const std::string_view bad : {"", "example.com:80", "127.0.0.1:", "127.0.0.1:0", "[::1",
                                     "127.0.0.1:65536", "127.0.0.1:80x", "[::1]80", "1.2.3:80"}) {
    const auto parsed = parse_authority(bad);
    ASSERT_FALSE(parsed.has_value()) << bad;
    EXPECT_EQ(parsed.error().code, Code::kInvalid) << bad;
  }
}

constexpr std::string_view kRequest =
    "POST /a?b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n"
    "4;ext=1\r\nwiki\r\n5\r\npedia\r\n0\r\nT: v\r\nU: w\r\n\r\n";

TEST(MessageReader, ReadsTheSameHoweverTheBytesAreCut) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    MessageReader reader(Side::kRequests, kHeadBytesMax);
    const std::string two = std::string(kRequest) + std::string(kRequest);
    std::size_t at = 0;
    for (int message = 0; message < 2; ++message) {
      if (message > 0) reader.next();
      std::string body;
      ASSERT_TRUE(reader.feed({}).has_value());
      while (!reader.done()) {
        ASSERT_LT(at, two.size());
        const std::size_t step = std::min<std::size_t>(1 + random.below(40), two.size() - at);
        ASSERT_TRUE(reader.feed(std::string_view(two).substr(at, step)).has_value());
        at += step;
        body += std::exchange(reader.body(), {});
      }
      body += reader.body();
      EXPECT_EQ(reader.head().method, "POST");
      EXPECT_EQ(reader.head().target, "/a?b");
      EXPECT_EQ(reader.head().fields.get("host"), "x");
      EXPECT_EQ(body, "wikipedia");
      EXPECT_EQ(reader.trailers().get("t"), "v");
      EXPECT_EQ(reader.trailers().get("u"), "w");
      EXPECT_FALSE(reader.head().fields.has("t"));
      EXPECT_TRUE(reader.keeps_alive());
    }
    EXPECT_EQ(at, two.size());
  }
}

TEST(MessageReader, RefusesWhatIsNotHttp) {
  for (const std::string_view bad :
       {"\x16\x03\x01 tls hello", "GET /\r\n\r\n", "GET / HTTP/2.0\r\n\r\n",
        "GET / HTTP/1.1\r\nA b\r\n\r\n", "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n11111111111111111\r\n"}) {
    MessageReader reader(Side::kRequests, kHeadBytesMax);
    const auto fed = reader.feed(bad);
    ASSERT_FALSE(fed.has_value()) << bad;
    EXPECT_EQ(fed.error().code, Code::kCorrupt) << bad;
  }
}

TEST(MessageReader, ReadsChunkedBodiesInAnyPieces) {
  for (const std::string_view chunks : {"", "1\r\na\r\n", "1;x=y\r\na\r\n02\r\nbc\r\n"}) {
    for (const std::string_view trailers : {"", "T: v\r\n"}) {
      const std::string message = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" +
                                  std::string(chunks) + "0\r\n" + std::string(trailers) + "\r\n";
      // One byte, two, ... at a time, and in every two pieces.
      for (std::size_t piece = 1; piece <= 2 * message.size(); ++piece) {
        MessageReader reader(Side::kRequests, kHeadBytesMax);
        const std::size_t first = piece > message.size() ? piece - message.size() : piece;
        const std::size_t then = piece > message.size() ? message.size() : piece;
        ASSERT_TRUE(reader.feed(std::string_view(message).substr(0, first)));
        for (std::size_t at = first; at < message.size(); at += then) {
          ASSERT_TRUE(reader.feed(std::string_view(message).substr(at, then))) << at;
        }
        ASSERT_TRUE(reader.done()) << message << piece;
        EXPECT_EQ(reader.trailers().has("t"), !trailers.empty());
      }
    }
  }
}

TEST(MessageReader, TakesControlsInAHeadAsSpacesWhereItIsToldTo) {
  const std::string answer =
      "HTTP/1.1 200 OK\r\nA: x\x01\x1f\x7fy\tz\r\nContent-Length: 3\r\n\r\n\x01\x02\x03";
  MessageReader strict(Side::kAnswers, kHeadBytesMax);
  EXPECT_EQ(strict.feed(answer).error().code, Code::kCorrupt);
  // In every two pieces, and then behind another answer.
  for (std::size_t cut = 0; cut <= answer.size(); ++cut) {
    MessageReader reader(Side::kAnswers, kHeadBytesMax, true);
    ASSERT_TRUE(reader.feed(answer.substr(0, cut)));
    ASSERT_TRUE(reader.feed(answer.substr(cut) + answer));
    for (int i = 0; i < 2; ++i) {
      ASSERT_TRUE(reader.done()) << cut;
      EXPECT_EQ(reader.head().fields.get("a"), "x   y\tz");
      EXPECT_EQ(reader.body(), "\x01\x02\x03") << "a body stays as it is";
      reader.next();
      ASSERT_TRUE(reader.feed({}));
    }
  }
}

TEST(MessageReader, LimitsHeadsTrailersAndChunkHeaders) {
  const std::string chunked = "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const std::string& large :
       {"GET / HTTP/1.1\r\nA: " + std::string(5000, 'a'), "GET /" + std::string(5000, 'a'),
        chunked + "1;" + std::string(5000, 'a'), chunked + "0\r\nA: " + std::string(5000, 'a')}) {
    MessageReader reader(Side::kRequests, 4096);
    Result<Done> fed = Done{};
    for (std::size_t at = 0; fed.has_value() && at < large.size(); at += 100) {
      fed = reader.feed(std::string_view(large).substr(at, 100));
    }
    ASSERT_FALSE(fed.has_value()) << large.substr(0, 60);
    EXPECT_EQ(fed.error().code, Code::kLimit) << fed.error().message;
  }
}

TEST(MessageReader, SurvivesEveryByteCorrupted) {
  for (std::size_t at = 0; at < kRequest.size(); ++at) {
    for (int value = 0; value < 256; ++value) {
      std::string bytes(kRequest);
      bytes[at] = static_cast<char>(value);
      MessageReader reader(Side::kRequests, kHeadBytesMax);
      (void)reader.feed(bytes);
      (void)reader.end_of_bytes();
      EXPECT_LE(reader.body().size(), bytes.size());
    }
  }
}

TEST(MessageReader, EndsAnAnswerWithItsConnectionWhereNothingElseDoes) {
  MessageReader reader(Side::kAnswers, kHeadBytesMax);
  ASSERT_TRUE(reader.feed("HTTP/1.1 200 OK\r\n\r\nall of").has_value());
  EXPECT_FALSE(reader.done());
  ASSERT_TRUE(reader.feed(" this").has_value());
  ASSERT_TRUE(reader.end_of_bytes().has_value());
  EXPECT_TRUE(reader.done());
  EXPECT_EQ(reader.body(), "all of this");
  MessageReader cut(Side::kAnswers, kHeadBytesMax);
  ASSERT_TRUE(cut.feed("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc").has_value());
  const auto ended = cut.end_of_bytes();
  ASSERT_FALSE(ended.has_value());
  EXPECT_EQ(ended.error().code, Code::kIo);
}

}  // namespace
}  // namespace thaw::http
