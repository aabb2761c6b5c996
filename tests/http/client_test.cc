// The client against peers that say exactly what they are told, good and bad.
#include "runtime/http/client.h"

#include <gtest/gtest.h>

#include <latch>

#include "base/str.h"
#include "raw_peer.h"

namespace thaw::http {
namespace {

using namespace std::chrono_literals;

std::unique_ptr<Client> client_of(const ScriptedServer& server, const ClientOptions& options = {}) {
  auto client = Client::create(server.authority(), options);
  EXPECT_TRUE(client.has_value());
  return *std::move(client);
}

Call get(std::string_view target = "/") {
  Call call;
  call.target = target;
  return call;
}

Call post(std::string_view target, std::string_view body) {
  Call call;
  call.method = "POST";
  call.target = target;
  call.body = body;
  return call;
}

// What a client makes of one raw answer, after which the peer closes.
Result<Response> answered(std::string_view answer, const Call& call = get()) {
  const ScriptedServer server(1, [&](RawPeer& peer, int) {
    peer.hear_until("\r\n\r\n");
    peer.say(answer);
  });
  return client_of(server)->request(call);
}

TEST(Client, SendsAWholeRequest) {
  std::string heard;
  {
    const ScriptedServer server(1, [&](RawPeer& peer, int) {
      heard = peer.hear_until("the body");
      peer.say("HTTP/1.1 202 Accepted\r\nX-One: 1\r\nContent-Length: 2\r\n\r\nok");
    });
    Call call = post("/a?b=c", "the body");
    call.headers = {{"X-Two", "2"}};
    const auto response = client_of(server)->request(call);
    ASSERT_TRUE(response.has_value()) << response.error().message;
    EXPECT_EQ(response->status, 202);
    EXPECT_EQ(response->headers.get("x-one"), "1");
    EXPECT_EQ(response->body, "ok");
    EXPECT_EQ(heard, cat("POST /a?b=c HTTP/1.1\r\nHost: ", server.authority(),
                         "\r\nX-Two: 2\r\nContent-Length: 8\r\n\r\nthe body"));
  }
}

TEST(Client, ReadsEveryKindOfBody) {
  const struct {
    std::string_view answer, body;
    int status;
  } kCases[] = {
      {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", 200},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n",
       "abcd", 200},
      {"HTTP/1.1 200 OK\r\n\r\nuntil the end", "until the end", 200},
      {"HTTP/1.0 200 OK\r\n\r\nuntil the end", "until the end", 200},
      {"HTTP/1.1 204 No Content\r\n\r\n", "", 204},
      {"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", "", 304},
      {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nA: b\r\n\r\nHTTP/1.1 200 "
       "OK\r\nContent-Length: 1\r\n\r\nx",
       "x", 200},
      {"HTTP/1.1 500 \r\nContent-Length: 1\r\n\r\nx", "x", 500},
  };
  for (const auto& each : kCases) {
    const auto response = answered(each.answer);
    ASSERT_TRUE(response.has_value()) << each.answer << ": " << response.error().message;
    EXPECT_EQ(response->status, each.status);
    EXPECT_EQ(response->body, each.body) << each.answer;
  }
  Call head = get();
  head.method = "HEAD";
  const auto response = answered("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", head);
  ASSERT_TRUE(response.has_value()) << response.error().message;
  EXPECT_EQ(response->headers.get("content-length"), "99");
}

TEST(Client, NamesWhatWasWrongWithAnAnswer) {
  const struct {
    std::string_view answer;
    Code code;
  } kCases[] = {
      {"", Code::kIo},
      {"HTTP/1.1 200", Code::kIo},
      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", Code::kIo},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", Code::kIo},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", Code::kIo},
      {"SSH-2.0-OpenSSH\r\n", Code::kCorrupt},
      {"HTTP/1.1 abc OK\r\n\r\n", Code::kCorrupt},
      {"HTTP/1.1 200 OK\r\nBad Header: 1\r\n\r\n", Code::kCorrupt},
      {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", Code::kCorrupt},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", Code::kCorrupt},
  };
  for (const auto& each : kCases) {
    const auto response = answered(each.answer);
    ASSERT_FALSE(response.has_value()) << each.answer;
    EXPECT_EQ(response.error().code, each.code) << each.answer << ": " << response.error().message;
  }
}

TEST(Client, LimitsHeadAndBody) {
  Call small = get();
  small.body_bytes_max = 10;
  for (const std::string& answer :
       {std::string("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world"),
        std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n"
                    "\r\n"),
        std::string("HTTP/1.1 200 OK\r\n\r\nhello world"),
        "HTTP/1.1 200 OK\r\nA: " + std::string(kHeadBytesMax, 'a')}) {
    const auto response = answered(answer, small);
    ASSERT_FALSE(response.has_value());
    EXPECT_EQ(response.error().code, Code::kLimit) << response.error().message;
  }
  const auto exact = answered("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789", small);
  ASSERT_TRUE(exact.has_value());
}

TEST(Client, RefusesToBreakItsOwnFraming) {
  const ScriptedServer server(0, [](RawPeer&, int) {});
  const auto client = client_of(server);
  Call bad[] = {get("/a b"), get("/a\r\nX: y"), get(""), get(), get(), get(), get()};
  bad[3].method = "GET /";
  bad[4].headers = {{"X", "a\r\nY: b"}};
  bad[5].headers = {{"Host", "evil"}};
  bad[6].headers = {{"Content-Length", "3"}};
  for (const Call& call : bad) {
    const auto response = client->request(call);
    ASSERT_FALSE(response.has_value());
    EXPECT_EQ(response.error().code, Code::kInvalid);
    EXPECT_FALSE(client->begin_chunked(call, "").has_value());
  }
  EXPECT_EQ(client->begin_chunked(get(), "A\r\nB: c").error().code, Code::kInvalid);
  EXPECT_EQ(client->write("x").error().code, Code::kInvalid);
  EXPECT_EQ(client->finish().error().code, Code::kInvalid);
}

TEST(Client, SaysThatNobodyListens) {
  std::string authority;
  {
    const ScriptedServer gone(0, [](RawPeer&, int) {});
    authority = gone.authority();
  }
  const auto response = (*Client::create(authority))->request(get());
  ASSERT_FALSE(response.has_value());
  EXPECT_EQ(response.error().code, Code::kUnavailable);
}

TEST(Client, KeepsItsConnection) {
  const ScriptedServer server(1, [](RawPeer& peer, int) {
    for (int i = 0; i < 3; ++i) {
      peer.hear_until("\r\n\r\n");
      peer.say("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + std::to_string(i));
    }
  });
  const auto client = client_of(server);
  EXPECT_FALSE(client->connected());
  for (int i = 0; i < 3; ++i) {
    const auto response = client->request(get());
    ASSERT_TRUE(response.has_value()) << response.error().message;
    EXPECT_EQ(response->body, std::to_string(i));
    EXPECT_TRUE(client->connected());
  }
}

TEST(Client, ConnectsAnewWhereTheIdleConnectionWasClosed) {
  std::latch closed(1);
  const ScriptedServer server(2, [&](RawPeer& peer, int connection) {
    peer.hear_until("\r\n\r\n");
    peer.say("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + std::to_string(connection));
    peer.close();
    if (connection == 0) closed.count_down();
  });
  const auto client = client_of(server);
  EXPECT_EQ(client->request(get())->body, "0");
  closed.wait();
  const auto response = client->request(post("/", "x"));  // not sent on the closed one
  ASSERT_TRUE(response.has_value()) << response.error().message;
  EXPECT_EQ(response->body, "1");
}

TEST(Client, RepeatsAGetButNotAPostThatAClosingPeerLeftUnanswered) {
  const auto script = [](RawPeer& peer, int connection) {
    peer.hear_until("\r\n\r\n");
    peer.say("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + std::to_string(connection));
    if (connection == 0) peer.hear_until("\r\n\r\n");  // taken, never answered
  };
  {
    const ScriptedServer server(2, script);
    const auto client = client_of(server);
    EXPECT_EQ(client->request(get())->body, "0");
    const auto again = client->request(get());
    ASSERT_TRUE(again.has_value()) << again.error().message;
    EXPECT_EQ(again->body, "1");
  }
  const ScriptedServer server(1, script);
  const auto client = client_of(server);
  EXPECT_EQ(client->request(get())->body, "0");
  const auto posted = client->request(post("/", ""));
  ASSERT_FALSE(posted.has_value());
  EXPECT_EQ(posted.error().code, Code::kIo);
}

TEST(Client, DropsAConnectionWithBytesThatNobodyAskedFor) {
  std::latch said(1);
  const ScriptedServer server(2, [&](RawPeer& peer, int connection) {
    peer.hear_until("\r\n\r\n");
    peer.say("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + std::to_string(connection) +
             (connection == 0 ? "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil" : ""));
    if (connection == 0) said.count_down();
  });
  const auto client = client_of(server);
  EXPECT_EQ(client->request(get())->body, "0");
  said.wait();
  EXPECT_EQ(client->request(get())->body, "1");
}

TEST(Client, KeepsDeadlines) {
  const ScriptedServer server(2, [](RawPeer& peer, int) {
    peer.hear_until("\r\n\r\n");
    peer.say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
    (void)peer.hear_all();
  });
  const auto client = client_of(server);
  for (int i = 0; i < 2; ++i) {
    Call call = get();
    call.deadline = system_clock().now() + 50ms;
    const auto response = client->request(call);
    ASSERT_FALSE(response.has_value());
    EXPECT_EQ(response.error().code, Code::kDeadline);
    EXPECT_FALSE(client->connected());
  }
  Call late = get();
  late.deadline = system_clock().now() - 1s;
  EXPECT_EQ(client->request(late).error().code, Code::kDeadline);
}

TEST(Client, CanBeInterrupted) {
  std::latch asked(1);
  const ScriptedServer server(1, [&](RawPeer& peer, int) {
    peer.hear_until("\r\n\r\n");
    asked.count_down();
    (void)peer.hear_all();
  });
  const auto client = client_of(server);
  std::thread interrupter([&] {
    asked.wait();
    client->interrupt();
  });
  const auto response = client->request(get());  // a long poll: no deadline
  interrupter.join();
  ASSERT_FALSE(response.has_value());
  EXPECT_EQ(response.error().code, Code::kCancelled);
  EXPECT_EQ(client->request(get()).error().code, Code::kCancelled);
}

TEST(Client, StreamsARequestWithTrailers) {
  std::string heard;
  {
    const ScriptedServer server(1, [&](RawPeer& peer, int) {
      heard = peer.hear_until("Sum: 7\r\n\r\n");
      peer.say("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
    });
    const auto client = client_of(server);
    Call call = post("/s", "ignored");
    ASSERT_TRUE(client->begin_chunked(call, "Sum, Other").has_value());
    ASSERT_TRUE(client->write("hello").has_value());
    ASSERT_TRUE(client->write("").has_value());
    ASSERT_TRUE(client->write(" world, more").has_value());
    const auto response = client->finish({{"Sum", "7"}});
    ASSERT_TRUE(response.has_value()) << response.error().message;
    EXPECT_EQ(response->status, 202);
    EXPECT_TRUE(client->connected());
    EXPECT_EQ(heard, cat("POST /s HTTP/1.1\r\nHost: ", server.authority(),
                         "\r\nTransfer-Encoding: chunked\r\nTrailer: Sum, Other\r\n\r\n"
                         "5\r\nhello\r\nc\r\n world, more\r\n0\r\nSum: 7\r\n\r\n"));
  }
}

TEST(Client, HearsAnAnswerInTheMiddleOfItsStream) {
  const ScriptedServer server(2, [](RawPeer& peer, int connection) {
    peer.hear_until("first\r\n");
    peer.say("HTTP/1.1 413 Payload Too Large\r\nContent-Length: 4\r\n\r\nstop");
    if (connection == 0) (void)peer.hear_all();
  });
  const auto client = client_of(server);
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(client->begin_chunked(post("/", ""), "").has_value());
    ASSERT_TRUE(client->write("first").has_value());
    Result<Done> written = Done{};
    const auto began = system_clock().now();
    while (written.has_value() && system_clock().now() - began < 10s) {
      written = client->write(std::string(1 << 16, 'x'));
    }
    ASSERT_FALSE(written.has_value());
    if (client->early_answer() == nullptr) {
      EXPECT_EQ(i, 1) << written.error().message;  // a reset may have swallowed it
      continue;
    }
    EXPECT_EQ(written.error().code, Code::kCancelled);
    EXPECT_EQ(client->early_answer()->status, 413);
    EXPECT_EQ(client->early_answer()->body, "stop");
    EXPECT_FALSE(client->write("more").has_value());
  }
}

TEST(Client, AbortsAStreamSoThatThePeerSeesItCut) {
  std::string heard;
  {
    const ScriptedServer server(1, [&](RawPeer& peer, int) { heard = peer.hear_all(); });
    const auto client = client_of(server);
    ASSERT_TRUE(client->begin_chunked(post("/", ""), "").has_value());
    ASSERT_TRUE(client->write("part").has_value());
    client->abort();
    EXPECT_FALSE(client->connected());
  }
  EXPECT_TRUE(heard.ends_with("4\r\npart\r\n"));
}

TEST(Client, HandsOverAStreamedAnswerAsItComes) {
  std::latch first_seen(1);
  const ScriptedServer server(1, [&](RawPeer& peer, int) {
    peer.hear_until("\r\n\r\n");
    peer.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    first_seen.wait();  // the second part is sent only when the first has arrived
    peer.say("3\r\ntwo\r\n0\r\nSum: 7\r\n\r\n");
  });
  const auto client = client_of(server);
  std::string body;
  int status = 0;
  Client::Sink sink;
  sink.head = [&](int code, const Fields&) -> Result<Done> {
    status = code;
    return Done{};
  };
  sink.body = [&](std::string_view part) -> Result<Done> {
    if (body.empty()) first_seen.count_down();
    body += part;
    return Done{};
  };
  const auto response = client->request(get(), sink);
  ASSERT_TRUE(response.has_value()) << response.error().message;
  EXPECT_EQ(status, 200);
  EXPECT_EQ(body, "onetwo");
  EXPECT_EQ(response->body, "");
  EXPECT_EQ(response->trailers.get("sum"), "7");
}

TEST(Client, LetsASinkEndTheCall) {
  const ScriptedServer server(1, [](RawPeer& peer, int) {
    peer.hear_until("\r\n\r\n");
    peer.say("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
    (void)peer.hear_all();
  });
  const auto client = client_of(server);
  Client::Sink sink;
  sink.body = [](std::string_view) -> Result<Done> { return fail(Code::kCancelled, "enough"); };
  const auto response = client->request(get(), sink);
  ASSERT_FALSE(response.has_value());
  EXPECT_EQ(response.error().message, "enough");
  EXPECT_FALSE(client->connected());
}

TEST(Client, ReadsABodyThatComesByteByByte) {
  const ScriptedServer server(1, [](RawPeer& peer, int) {
    peer.hear_until("\r\n\r\n");
    for (const char c : std::string_view("HTTP/1.1 200 OK\r\nTransfer-Encoding: "
                                         "chunked\r\n\r\n3\r\nabc\r\n0\r\nT: v\r\n\r\n")) {
      peer.say(std::string_view(&c, 1));
    }
  });
  const auto response = client_of(server)->request(get());
  ASSERT_TRUE(response.has_value()) << response.error().message;
  EXPECT_EQ(response->body, "abc");
  EXPECT_EQ(response->trailers.get("T"), "v");
}

}  // namespace
}  // namespace thaw::http
