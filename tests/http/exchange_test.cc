// Client and server together over loopback: sizes, streams, many at once.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "base/random.h"
#include "base/str.h"
#include "runtime/http/client.h"
#include "runtime/http/server.h"

namespace thaw::http {
namespace {

using namespace std::chrono_literals;

std::string random_bytes(Random& random, std::size_t count) {
  std::string bytes(count, '\0');
  for (char& c : bytes) c = static_cast<char>(random.next());
  return bytes;
}

std::unique_ptr<Server> serve(Handler handler) {
  ServerOptions options;
  options.body_bytes_max = 32 << 20;
  auto server = Server::start(options, std::move(handler));
  EXPECT_TRUE(server.has_value());
  return *std::move(server);
}

void echo(Request& request, ResponseWriter& writer) {
  const auto body = request.read_all();
  if (body.has_value()) (void)writer.send(200, {}, *body);
}

// Reads the body as it comes, then sends it back in parts, and the trailers at the end.
void echo_stream(Request& request, ResponseWriter& writer) {
  std::string body;
  char part[5000];
  for (;;) {
    const auto got = request.read_some(part);
    if (!got.has_value()) return;
    if (*got == 0) break;
    body.append(part, *got);
  }
  (void)writer.begin(200, {});
  for (std::size_t at = 0; at < body.size(); at += 7000) {
    (void)writer.write(std::string_view(body).substr(at, 7000));
  }
  (void)writer.end(request.trailers());
}

TEST(Exchange, CarriesBodiesOfEverySize) {
  const auto server = serve(echo);
  const auto client = *Client::create(server->authority());
  Random random(11);
  for (const std::size_t size :
       {0u, 1u, 100u, 16383u, 16384u, 16385u, 131072u, 131073u, 1000000u, 10u << 20}) {
    const std::string body = random_bytes(random, size);
    Call call;
    call.method = "PUT";
    call.body = body;
    call.body_bytes_max = 32 << 20;
    const auto response = client->request(call);
    ASSERT_TRUE(response.has_value()) << size << ": " << response.error().message;
    EXPECT_TRUE(response->body == body) << size;
    EXPECT_TRUE(client->connected());
  }
}

TEST(Exchange, CarriesRandomStreamsBothWays) {
  const auto server = serve(echo);
  const auto streaming = serve(echo_stream);
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const auto client = *Client::create(server->authority());
    Call call;
    call.method = "POST";
    ASSERT_TRUE(client->begin_chunked(call, "Sum").has_value());
    std::string sent;
    for (std::uint64_t part = random.below(20); part > 0; --part) {
      const std::string bytes = random_bytes(random, random.below(40'000));
      sent += bytes;
      ASSERT_TRUE(client->write(bytes).has_value());
    }
    const auto response = client->finish({{"Sum", cat(sent.size())}});
    ASSERT_TRUE(response.has_value()) << response.error().message;
    EXPECT_TRUE(response->body == sent);

    const auto other = *Client::create(streaming->authority());
    Call whole = call;
    whole.body = sent;
    std::string received;
    Client::Sink sink;
    sink.body = [&](std::string_view part) -> Result<Done> {
      received += part;
      return Done{};
    };
    const auto streamed = other->request(whole, sink);
    ASSERT_TRUE(streamed.has_value()) << streamed.error().message;
    EXPECT_TRUE(received == sent);
  }
}

TEST(Exchange, PassesTrailersThrough) {
  const auto server = serve([](Request& request, ResponseWriter& writer) {
    const auto body = request.read_all();
    (void)writer.begin(200, {});
    (void)writer.end(request.trailers());
  });
  const auto client = *Client::create(server->authority());
  Call call;
  call.method = "POST";
  ASSERT_TRUE(client->begin_chunked(call, "A, B").has_value());
  const auto response = client->finish({{"A", "1"}, {"B", "two words"}});
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->trailers.get("a"), "1");
  EXPECT_EQ(response->trailers.get("b"), "two words");
}

TEST(Exchange, HearsARefusalWhileItSendsABigBody) {
  const auto server = serve([](Request& request, ResponseWriter& writer) {
    request.set_body_limits(1000, 1s);
    if (!request.read_all().has_value()) (void)writer.send(413, {}, "too much");
  });
  const auto client = *Client::create(server->authority());
  const std::string big(4 << 20, 'x');
  Call call;
  call.method = "POST";
  call.body = big;
  const auto response = client->request(call);
  ASSERT_TRUE(response.has_value()) << response.error().message;
  EXPECT_EQ(response->status, 413);
  EXPECT_EQ(response->body, "too much");
}

TEST(Exchange, ServesManyConnectionsAtOnce) {
  const auto server = serve(echo);
  constexpr int kClients = 24;
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kClients; ++i) {
    threads.emplace_back([&, i] {
      const auto client = *Client::create(server->authority());
      Random random(static_cast<std::uint64_t>(i));
      for (int round = 0; round < 20; ++round) {
        const std::string body = random_bytes(random, random.below(3000));
        Call call;
        call.method = "POST";
        call.body = body;
        const auto response = client->request(call);
        good += response.has_value() && response->body == body ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, kClients * 20);
}

TEST(Exchange, LetsALongPollWaitAndThenAnswers) {
  std::atomic<bool> go{false};
  const auto server = serve([&](Request&, ResponseWriter& writer) {
    while (!go && !writer.cancelled()) std::this_thread::sleep_for(1ms);
    (void)writer.send(200, {}, "event");
  });
  const auto client = *Client::create(server->authority());
  std::thread later([&] {
    std::this_thread::sleep_for(50ms);
    go = true;
  });
  const auto response = client->request(Call{});
  later.join();
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->body, "event");
}

}  // namespace
}  // namespace thaw::http
