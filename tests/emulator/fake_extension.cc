// An external extension that writes what it hears to the file named FAKE_HEARD, a line each.
// FAKE_EXTENSION in its environment: "" (behaves), "mute" (never registers), "error" (says it
// cannot start), "crash" (ends at its first event), "slow" (takes its time with each), "stays"
// (ignores SHUTDOWN).
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "runtime/http/client.h"
#include "runtime/http/server.h"

namespace thaw {
namespace {

using Json = nlohmann::json;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::mutex mutex;

void heard(std::string_view what, const std::string& text) {
  const std::lock_guard lock(mutex);
  std::ofstream(variable("FAKE_HEARD"), std::ios::app) << what << ' ' << text << '\n';
}

http::Response ask(std::string_view method, std::string_view target, const std::string& body,
                   http::Fields headers) {
  auto client = http::Client::create(variable("AWS_LAMBDA_RUNTIME_API"));
  http::Call call;
  call.method = method;
  call.target = target;
  call.body = body;
  call.headers = std::move(headers);
  auto answer = (*client)->request(call);
  if (!answer) std::_Exit(9);  // the platform is gone
  return *answer;
}

int run(const std::string& name) {
  const std::string how = variable("FAKE_EXTENSION");
  if (how == "mute") ::pause();
  const auto entered =
      ask("POST", "/2020-01-01/extension/register", R"({"events":["INVOKE","SHUTDOWN"]})",
          {{"Lambda-Extension-Name", name}});
  heard("registered", std::to_string(entered.status) + " " + entered.body);
  const std::string id(entered.headers.get("Lambda-Extension-Identifier").value_or(""));
  const http::Fields known{{"Lambda-Extension-Identifier", id}};
  if (how == "error") {
    http::Fields headers = known;
    headers.add("Lambda-Extension-Function-Error-Type", "Extension.NoMood");
    const auto told = ask("POST", "/2020-01-01/extension/init/error", "{}", headers);
    heard("told", std::to_string(told.status));
    return 1;
  }
  http::ServerOptions options;
  auto server =
      http::Server::start(options, [](http::Request& request, http::ResponseWriter& writer) {
        const auto body = request.read_all();
        if (body) {
          for (const Json& item : Json::parse(*body, nullptr, false))
            heard("telemetry", item.dump());
        }
        (void)writer.send(200, {}, "");
      });
  if (!server) return 2;
  const Json subscription = {
      {"schemaVersion", "2022-12-13"},
      {"types", {"platform", "function", "extension"}},
      {"buffering", {{"maxItems", 1000}, {"maxBytes", 262144}, {"timeoutMs", 25}}},
      {"destination",
       {{"protocol", "HTTP"},
        {"URI", "http://sandbox.localdomain:" + std::to_string((*server)->port()) + "/"}}}};
  const auto told = ask("PUT", "/2022-07-01/telemetry", subscription.dump(), known);
  heard("subscribed", std::to_string(told.status) + " " + told.body);
  while (true) {
    const auto event = ask("GET", "/2020-01-01/extension/event/next", "", known);
    heard("event", event.body);
    if (how == "crash") return 5;
    if (how == "slow") std::this_thread::sleep_for(std::chrono::milliseconds(300));
    if (Json::parse(event.body).value("eventType", "") != "SHUTDOWN") continue;
    if (how == "stays") ::pause();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));  // for the last telemetry
    heard("bye", "");
    return 0;
  }
}

}  // namespace
}  // namespace thaw

int main(int, char** arguments) {
  const std::string path = arguments[0];
  return thaw::run(path.substr(path.rfind('/') + 1));
}
