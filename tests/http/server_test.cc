// The server against clients that say exactly what they are told, good and bad.
#include "runtime/http/server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <thread>

#include "base/str.h"
#include "raw_peer.h"

namespace thaw::http {
namespace {

using namespace std::chrono_literals;

std::unique_ptr<Server> serve(Handler handler, const ServerOptions& options = {}) {
  auto server = Server::start(options, std::move(handler));
  EXPECT_TRUE(server.has_value()) << server.error().message;
  return *std::move(server);
}

// Answers with what the request was.
void echo(Request& request, ResponseWriter& writer) {
  const auto body = request.read_all();
  if (!body.has_value()) return;  // the server answers for this
  std::string trailers;
  for (const Field& field : request.trailers()) trailers += cat(field.name, "=", field.value, ";");
  (void)writer.send(200, {{"X-Trailers", trailers}},
                    cat(request.method(), " ", request.path(), "|", request.query(), "|", *body));
}

// The whole exchange of one raw request on a connection of its own, that the client leaves open.
std::string answer_to(const Server& server, std::string_view request) {
  RawPeer peer = RawPeer::connect(server.authority());
  peer.say(request);
  return peer.hear_all();
}

std::string status_line(std::string_view answer) {
  return std::string(answer.substr(0, answer.find("\r\n")));
}

TEST(Server, AnswersAWholeRequest) {
  const auto server = serve(echo);
  EXPECT_EQ(answer_to(*server,
                      "POST /a%20b?x=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n"
                      "Connection: close\r\n\r\nabc"),
            "HTTP/1.1 200 OK\r\nX-Trailers: \r\nContent-Length: 19\r\nConnection: close\r\n\r\n"
            "POST /a%20b|x=1|abc");
}

TEST(Server, ReadsChunkedBodiesAndTrailers) {
  const auto server = serve(echo);
  const std::string answer =
      answer_to(*server,
                "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
                "Connection: close\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nA: 1\r\nB: "
                "2\r\n\r\n");
  EXPECT_NE(answer.find("X-Trailers: A=1;B=2;\r\n"), std::string::npos) << answer;
  EXPECT_TRUE(answer.ends_with("|abcde"));
}

TEST(Server, KeepsConnectionsAndAnswersPipelinedRequestsInOrder) {
  const auto server = serve(echo);
  RawPeer peer = RawPeer::connect(server->authority());
  for (int i = 0; i < 3; ++i) {
    const std::string request = cat("GET /", i, " HTTP/1.1\r\nHost: h\r\n\r\n");
    peer.say(i == 1 ? request + "GET /x HTTP/1.1\r\nHost: h\r\n\r\n" : request);
    EXPECT_EQ(status_line(peer.hear_until(cat("GET /", i, "||"))), "HTTP/1.1 200 OK");
    if (i != 1) continue;
    EXPECT_TRUE(peer.hear_until("GET /x||").ends_with("GET /x||"));
  }
}

TEST(Server, RefusesBadRequestsInWordsOfHttp) {
  ServerOptions options;
  options.head_bytes_max = 16 << 10;
  options.body_bytes_max = 10;
  options.read_time_max = 200ms;
  const auto server = serve(echo, options);
  const std::string host = "Host: h\r\n";
  const struct {
    std::string request, status;
  } kCases[] = {
      {"nonsense\r\n\r\n", "400 Bad Request"},
      {"GET / HTTP/1.1\r\n\r\n", "400 Bad Request"},
      {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400 Bad Request"},
      {"GET / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
       "400 Bad Request"},
      {"GET / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip\r\n\r\n", "501 Not Implemented"},
      {"GET / HTTP/1.1\r\n" + host + "Expect: magic\r\n\r\n", "417 Expectation Failed"},
      {"GET / HTTP/1.1\r\n" + host + "A: " + std::string(16 << 10, 'a'),
       "431 Request Header Fields Too Large"},
      {"GET /" + std::string(9000, 'a') + " HTTP/1.1\r\n" + host + "\r\n", "414 URI Too Long"},
      {"POST / HTTP/1.1\r\n" + host + "Content-Length: 11\r\n\r\n", "413 Payload Too Large"},
      {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n",
       "413 Payload Too Large"},
      {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
       "400 Bad Request"},
      {"POST / HTTP/1.1\r\n" + host + "Content-Length: 5\r\n\r\nabc", "408 Request Timeout"},
      {"GET / HTT", "408 Request Timeout"},
  };
  for (const auto& each : kCases) {
    EXPECT_EQ(status_line(answer_to(*server, each.request)), "HTTP/1.1 " + each.status)
        << each.request.substr(0, 80);
  }
  EXPECT_EQ(status_line(answer_to(*server, "POST / HTTP/1.1\r\n" + host +
                                               "Content-Length: 10\r\nConnection: "
                                               "close\r\n\r\n0123456789")),
            "HTTP/1.1 200 OK");
}

TEST(Server, StreamsAnswersWithTrailers) {
  const auto server = serve([](Request&, ResponseWriter& writer) {
    EXPECT_FALSE(writer.begun());
    EXPECT_TRUE(writer.begin(200, {{"Trailer-Names", "x"}}).has_value());
    EXPECT_TRUE(writer.begun());
    EXPECT_TRUE(writer.write("one").has_value());
    EXPECT_TRUE(writer.write("").has_value());
    EXPECT_TRUE(writer.write("two").has_value());
    EXPECT_TRUE(writer.end({{"Sum", "7"}}).has_value());
    EXPECT_FALSE(writer.end({}).has_value());
    EXPECT_FALSE(writer.write("x").has_value());
    EXPECT_FALSE(writer.begin(200, {}).has_value());
    EXPECT_FALSE(writer.send(200, {}, "").has_value());
  });
  EXPECT_EQ(answer_to(*server, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
            "HTTP/1.1 200 OK\r\nTrailer-Names: x\r\nTransfer-Encoding: chunked\r\nConnection: "
            "close\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\nSum: 7\r\n\r\n");
  // HTTP/1.0 knows no chunks: the connection's end is the body's.
  EXPECT_EQ(answer_to(*server, "GET / HTTP/1.0\r\n\r\n"),
            "HTTP/1.1 200 OK\r\nTrailer-Names: x\r\nConnection: close\r\n\r\nonetwo");
}

TEST(Server, LeavesTheBodyOutWhereHttpHasNone) {
  const auto server = serve([](Request& request, ResponseWriter& writer) {
    if (request.path() == "/stream") {
      (void)writer.begin(200, {});
      (void)writer.write("body");
      (void)writer.end();
    } else {
      (void)writer.send(request.path() == "/none" ? 204 : 200, {}, "body");
    }
  });
  const std::string end = " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
  EXPECT_EQ(answer_to(*server, "HEAD /" + end),
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(answer_to(*server, "HEAD /stream" + end),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(answer_to(*server, "GET /none" + end),
            "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
}

TEST(Server, AnswersForAHandlerThatDoesNot) {
  const auto server = serve([](Request& request, ResponseWriter& writer) {
    if (request.path() == "/cut") {
      (void)writer.begin(200, {});
      (void)writer.write("part");
    } else if (request.path() == "/abort") {
      (void)writer.begin(200, {});
      (void)writer.write("part");
      writer.abort();
    } else if (request.path() == "/wrong") {
      EXPECT_FALSE(writer.send(99, {}, "").has_value());
      EXPECT_FALSE(writer.send(200, {{"A", "b\r\nC: d"}}, "").has_value());
      EXPECT_FALSE(writer.write("x").has_value());
      EXPECT_FALSE(writer.end().has_value());
    }
  });
  const std::string end = " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
  EXPECT_EQ(status_line(answer_to(*server, "GET /" + end)), "HTTP/1.1 500 Internal Server Error");
  EXPECT_EQ(status_line(answer_to(*server, "GET /wrong" + end)),
            "HTTP/1.1 500 Internal Server Error");
  EXPECT_TRUE(answer_to(*server, "GET /cut" + end).ends_with("4\r\npart\r\n"));
  EXPECT_TRUE(answer_to(*server, "GET /abort" + end).ends_with("4\r\npart\r\n"));
}

TEST(Server, ContinuesOnlyWhereTheBodyIsWanted) {
  const auto server = serve([](Request& request, ResponseWriter& writer) {
    if (request.path() == "/no") {
      (void)writer.send(403, {}, "no");
      return;
    }
    echo(request, writer);
  });
  const std::string end =
      " HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
  RawPeer wanted = RawPeer::connect(server->authority());
  wanted.say("POST /yes" + end);
  EXPECT_EQ(wanted.hear_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  wanted.say("abc");
  EXPECT_TRUE(wanted.hear_until("|abc").ends_with("POST /yes||abc"));
  RawPeer refused = RawPeer::connect(server->authority());
  refused.say("POST /no" + end);
  const std::string answer = refused.hear_all();
  EXPECT_EQ(status_line(answer), "HTTP/1.1 403 Forbidden");
  EXPECT_NE(answer.find("Connection: close"), std::string::npos);
}

TEST(Server, ReadsABodyAsItComes) {
  std::latch first(1);
  const auto server = serve([&](Request& request, ResponseWriter& writer) {
    EXPECT_FALSE(request.content_length().has_value());
    request.set_body_limits(1 << 20, 10s);
    char part[64];
    const auto got = request.read_some(part);
    ASSERT_TRUE(got.has_value());
    EXPECT_EQ(std::string_view(part, *got), "first");
    EXPECT_TRUE(request.trailers().empty());
    first.count_down();
    const auto rest = request.read_all();
    ASSERT_TRUE(rest.has_value());
    EXPECT_EQ(*rest, "second");
    EXPECT_EQ(request.trailers().get("t"), "v");
    (void)writer.send(200, {}, "");
  });
  RawPeer peer = RawPeer::connect(server->authority());
  peer.say("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
  first.wait();
  peer.say("6\r\nsecond\r\n0\r\nT: v\r\n\r\n");
  EXPECT_EQ(status_line(peer.hear_until("\r\n\r\n")), "HTTP/1.1 200 OK");
}

TEST(Server, TellsThatABodyWasCut) {
  std::atomic<int> code{-1};
  {
    const auto server = serve([&](Request& request, ResponseWriter&) {
      const auto body = request.read_all();
      code = body.has_value() ? -2 : static_cast<int>(body.error().code);
      EXPECT_FALSE(request.read_all().has_value());  // and goes on telling
    });
    RawPeer peer = RawPeer::connect(server->authority());
    peer.say("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfi");
    peer.close();
    for (int i = 0; i < 200 && code == -1; ++i) std::this_thread::sleep_for(10ms);
  }
  EXPECT_EQ(code, static_cast<int>(Code::kIo));
}

TEST(Server, SeesThatTheClientHasGone) {
  std::latch inside(1);
  std::atomic<bool> seen{false};
  {
    const auto server = serve([&](Request&, ResponseWriter& writer) {
      EXPECT_FALSE(writer.cancelled());
      inside.count_down();
      for (int i = 0; i < 1000 && !writer.cancelled(); ++i) std::this_thread::sleep_for(5ms);
      seen = writer.cancelled();
    });
    RawPeer peer = RawPeer::connect(server->authority());
    peer.say("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    inside.wait();
    peer.close();
    for (int i = 0; i < 1000 && !seen; ++i) std::this_thread::sleep_for(5ms);
  }
  EXPECT_TRUE(seen);
}

TEST(Server, GivesUpOnAReaderThatTakesNothing) {
  ServerOptions options;
  options.write_time_max = 100ms;
  std::atomic<int> code{-1};
  {
    const auto server = serve(
        [&](Request&, ResponseWriter& writer) {
          (void)writer.begin(200, {});
          Result<Done> written = Done{};
          for (int i = 0; i < 10'000 && written.has_value(); ++i) {
            written = writer.write(std::string(1 << 16, 'x'));
          }
          code = written.has_value() ? -2 : static_cast<int>(written.error().code);
        },
        options);
    RawPeer peer = RawPeer::connect(server->authority());
    peer.say("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    for (int i = 0; i < 1000 && code == -1; ++i) std::this_thread::sleep_for(10ms);
  }
  EXPECT_EQ(code, static_cast<int>(Code::kDeadline));
}

TEST(Server, LimitsItsConnections) {
  ServerOptions options;
  options.connections_max = 2;
  const auto server = serve(echo, options);
  RawPeer first = RawPeer::connect(server->authority());
  RawPeer second = RawPeer::connect(server->authority());
  for (RawPeer* peer : {&first, &second}) {
    peer->say("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_EQ(status_line(peer->hear_until("GET /||")), "HTTP/1.1 200 OK");
  }
  EXPECT_EQ(server->connections(), 2u);
  RawPeer third = RawPeer::connect(server->authority());
  EXPECT_EQ(status_line(third.hear_all()), "HTTP/1.1 503 Service Unavailable");
  first.close();
  for (int i = 0; i < 1000 && server->connections() > 1; ++i) std::this_thread::sleep_for(5ms);
  EXPECT_EQ(
      status_line(answer_to(*server, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")),
      "HTTP/1.1 200 OK");
}

TEST(Server, EndsIdleConnections) {
  ServerOptions options;
  options.idle_time_max = 50ms;
  const auto server = serve(echo, options);
  RawPeer peer = RawPeer::connect(server->authority());
  EXPECT_TRUE(peer.closed());
}

TEST(Server, StopsWithIdleAndBusyConnections) {
  std::latch inside(1);
  std::atomic<bool> finished{false};
  auto server = serve([&](Request& request, ResponseWriter& writer) {
    if (request.path() == "/busy") {
      inside.count_down();
      while (!writer.cancelled()) std::this_thread::sleep_for(1ms);
      finished = writer.send(200, {}, "late").has_value();
      return;
    }
    echo(request, writer);
  });
  RawPeer idle = RawPeer::connect(server->authority());
  idle.say("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  idle.hear_until("GET /||");
  RawPeer busy = RawPeer::connect(server->authority());
  busy.say("GET /busy HTTP/1.1\r\nHost: h\r\n\r\n");
  inside.wait();
  server->stop(5s);
  EXPECT_TRUE(finished);
  EXPECT_EQ(server->connections(), 0u);
  EXPECT_TRUE(idle.closed());
  const std::string answer = busy.hear_all();
  EXPECT_NE(answer.find("Connection: close"), std::string::npos);
  EXPECT_TRUE(answer.ends_with("late"));
  server->stop();  // again
}

TEST(Server, CutsAHandlerThatReadsAfterTheGrace) {
  std::latch inside(1);
  std::atomic<int> code{-1};
  auto server = serve([&](Request& request, ResponseWriter&) {
    inside.count_down();
    const auto body = request.read_all();
    code = body.has_value() ? -2 : static_cast<int>(body.error().code);
  });
  RawPeer peer = RawPeer::connect(server->authority());
  peer.say("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab");
  inside.wait();
  server->stop(20ms);
  EXPECT_EQ(code, static_cast<int>(Code::kCancelled));
}

TEST(Server, SaysWhyItCannotListen) {
  const auto server = serve(echo);
  ServerOptions options;
  options.port = server->port();
  const auto again = Server::start(options, echo);
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().code, Code::kUnavailable) << again.error().message;
  options.host = "example.com";
  EXPECT_EQ(Server::start(options, echo).error().code, Code::kInvalid);
}

}  // namespace
}  // namespace thaw::http
