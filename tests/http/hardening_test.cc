// The server against clients that mean ill, or know no better: each is bounded by a named limit.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "base/str.h"
#include "raw_peer.h"
#include "runtime/http/server.h"

namespace thaw::http {
namespace {

using namespace std::chrono_literals;

class Hardened : public testing::Test {
 protected:
  void serve(const ServerOptions& options = {}) {
    auto server = Server::start(options, [this](Request& request, ResponseWriter& writer) {
      if (prepare) prepare(request);
      const auto body = request.read_all();
      if (!body.has_value()) return;  // the server answers for this
      ++answered;
      (void)writer.send(200, {}, cat(request.method(), " ", request.target(), " ", *body));
    });
    ASSERT_TRUE(server.has_value());
    server_ = *std::move(server);
  }
  RawPeer peer() { return RawPeer::connect(server_->authority()); }
  // The status of the first answer to these bytes; the client leaves the connection open.
  std::string status_of(std::string_view bytes) {
    RawPeer client = peer();
    client.say(bytes);
    return client.hear_until("\r\n").substr(0, 12);
  }
  // Says one byte at a time until the server has answered; how long that took.
  std::chrono::milliseconds drip(RawPeer& client, std::string_view bytes, std::string& heard) {
    const auto begin = system_clock().now();
    std::atomic<bool> done{false};
    std::thread speaker([&] {
      for (const char byte : bytes) {
        if (done) break;
        client.say(std::string_view(&byte, 1));
        std::this_thread::sleep_for(20ms);
      }
    });
    heard = client.hear_until("\r\n");
    done = true;
    const auto time = system_clock().now() - begin;
    speaker.join();
    return std::chrono::duration_cast<std::chrono::milliseconds>(time);
  }

  std::function<void(Request&)> prepare;
  std::atomic<int> answered{0};
  std::unique_ptr<Server> server_;
};

TEST_F(Hardened, AHeadThatDripsEndsAtReadTimeMax) {
  ServerOptions options;
  options.read_time_max = 300ms;
  serve(options);
  RawPeer client = peer();
  std::string heard;
  const auto time =
      drip(client, cat("GET / HTTP/1.1\r\nHost: h\r\nX: ", std::string(500, 'x')), heard);
  EXPECT_EQ(heard.substr(0, 12), "HTTP/1.1 408");
  EXPECT_GE(time, 250ms);
  EXPECT_LT(time, 3s);
  EXPECT_TRUE(client.closed());
}

TEST_F(Hardened, ABodyThatDripsEndsAtBodyTimeMax) {
  ServerOptions options;
  options.read_time_max = 5s;  // each silence is short
  options.body_time_max = 300ms;
  serve(options);
  for (const char* framing :
       {"Content-Length: 1000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n3e8\r\n"}) {
    RawPeer client = peer();
    client.say(cat("POST / HTTP/1.1\r\nHost: h\r\n", framing));
    std::string heard;
    const auto time = drip(client, std::string(1000, 'x'), heard);
    EXPECT_EQ(heard.substr(0, 12), "HTTP/1.1 408") << framing;
    EXPECT_GE(time, 250ms);
    EXPECT_LT(time, 3s);
    EXPECT_TRUE(client.closed());
  }
  EXPECT_EQ(answered, 0);
}

TEST_F(Hardened, ABodyMayDripWhereTheHandlerSaysSo) {
  ServerOptions options;
  options.body_time_max = 100ms;
  serve(options);
  prepare = [](Request& request) { request.set_body_limits(100, 5s); };
  RawPeer client = peer();
  client.say("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\n\r\n");
  std::string heard;
  EXPECT_GE(drip(client, std::string(20, 'x'), heard), 300ms);
  EXPECT_EQ(heard.substr(0, 12), "HTTP/1.1 200");
}

TEST_F(Hardened, AHandlerCanLimitABody) {
  serve();
  prepare = [](Request& request) { request.limit_body(4); };
  EXPECT_EQ(status_of("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nabcd"),
            "HTTP/1.1 200");
  EXPECT_EQ(status_of("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde"),
            "HTTP/1.1 413");
  EXPECT_EQ(status_of("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                      "5\r\nabcde\r\n0\r\n\r\n"),
            "HTTP/1.1 413");
}

TEST_F(Hardened, WhatCouldBeReadInTwoWaysIsRefused) {
  serve();
  const std::string post = "POST / HTTP/1.1\r\nHost: h\r\n";
  for (const std::string& bad : {
           post + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
           post + "Content-Length: 3, 4\r\n\r\nabcd",
           post + "Content-Length: +3\r\n\r\nabc",
           post + "Content-Length: -1\r\n\r\n",
           post + "Content-Length: 0x3\r\n\r\nabc",
           post + "Content-Length: 99999999999999999999\r\n\r\n",
           post + "Content-Length : 3\r\n\r\nabc",
           post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
           post + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
           std::string("GET / HTTP/1.1\r\nHost: h\r\nA: b") + '\0' + "c\r\n\r\n",
           std::string("GET / HTTP/1.1\r\nHost: h\r\nA\x01: b\r\n\r\n"),
           std::string("GET  / HTTP/1.1\r\nHost: h\r\n\r\n"),
           std::string("GET / HTTP/2.0\r\nHost: h\r\n\r\n"),
           std::string("GET / HTTP/1.1 \r\nHost: h\r\n\r\n"),
       }) {
    EXPECT_EQ(status_of(bad), "HTTP/1.1 400") << bad;
  }
  EXPECT_EQ(answered, 0);
}

TEST_F(Hardened, AnswersAFloodOfPipelinedRequestsInOrder) {
  serve();
  std::string all;
  for (int i = 0; i < 300; ++i) {
    all += cat("POST /", i, " HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n", i % 10);
  }
  RawPeer client = peer();
  client.say(all);
  // Having said everything, it may close its side: what it asked for is answered.
  client.finish_saying();
  const std::string heard = client.hear_all();
  std::size_t at = 0;
  for (int i = 0; i < 300; ++i) {
    at = heard.find(cat("POST /", i, " ", i % 10), at);
    ASSERT_NE(at, std::string::npos) << i;
  }
  EXPECT_EQ(answered, 300);
}

TEST_F(Hardened, AnErrorEndsWhatWasPipelinedBehindIt) {
  serve();
  RawPeer client = peer();
  client.say(
      "GET /a HTTP/1.1\r\nHost: h\r\n\r\nnonsense\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n");
  const std::string heard = client.hear_all();
  EXPECT_NE(heard.find("GET /a"), std::string::npos);
  EXPECT_NE(heard.find("HTTP/1.1 400"), std::string::npos);
  EXPECT_EQ(heard.find("GET /b"), std::string::npos);
}

TEST_F(Hardened, SpeaksHttp10) {
  serve();
  RawPeer plain = peer();
  plain.say("POST /x HTTP/1.0\r\nContent-Length: 2\r\n\r\nab");
  const std::string heard = plain.hear_all();  // the connection ends with the answer
  EXPECT_NE(heard.find("Content-Length: 10\r\n"), std::string::npos) << heard;
  EXPECT_TRUE(heard.ends_with("POST /x ab"));
  RawPeer kept = peer();
  for (int i = 0; i < 2; ++i) {
    kept.say("GET /k HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    EXPECT_NE(kept.hear_until("GET /k ").find("Connection: keep-alive"), std::string::npos);
  }
  // It knows no 100 Continue: the body is simply awaited.
  RawPeer expecting = peer();
  expecting.say("POST /e HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx");
  EXPECT_EQ(expecting.hear_until("\r\n").substr(0, 12), "HTTP/1.1 200");
}

TEST_F(Hardened, RefusesATooLargeBodyBeforeItIsSent) {
  ServerOptions options;
  options.body_bytes_max = 100;
  serve(options);
  EXPECT_EQ(status_of("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
                      "Content-Length: 101\r\n\r\n"),
            "HTTP/1.1 413");
  RawPeer fits = peer();
  fits.say("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  EXPECT_EQ(fits.hear_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  fits.say("abc");
  EXPECT_EQ(fits.hear_until("\r\n").substr(0, 12), "HTTP/1.1 200");
}

TEST_F(Hardened, ManyFieldsAndLongChunkHeadersCountAsHead) {
  ServerOptions options;
  options.head_bytes_max = 8 << 10;
  serve(options);
  std::string many = "GET / HTTP/1.1\r\nHost: h\r\n";
  for (int i = 0; i < 2000; ++i) many += "a:b\r\n";
  EXPECT_EQ(status_of(many), "HTTP/1.1 431");
  RawPeer chunked = peer();
  chunked.say(
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
      "Expect: 100-continue\r\n\r\n");
  EXPECT_EQ(chunked.hear_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  chunked.say("1;" + std::string(20 << 10, 'x'));
  EXPECT_EQ(chunked.hear_until("\r\n").substr(0, 12), "HTTP/1.1 400");
}

TEST_F(Hardened, ConnectionsEndWithTheirAnswersWhileItDrains) {
  serve();
  RawPeer kept = peer();
  kept.say("GET /1 HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(kept.hear_until("GET /1 ").find("Connection: close"), std::string::npos);
  server_->close_after_answers();
  kept.say("GET /2 HTTP/1.1\r\nHost: h\r\n\r\nGET /3 HTTP/1.1\r\nHost: h\r\n\r\n");
  const std::string last = kept.hear_all();
  EXPECT_NE(last.find("Connection: close\r\n"), std::string::npos);
  EXPECT_NE(last.find("GET /2"), std::string::npos);
  EXPECT_EQ(last.find("GET /3"), std::string::npos);
}

}  // namespace
}  // namespace thaw::http
