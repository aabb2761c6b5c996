#include "runtime/emulator/aws_error.h"

#include <nlohmann/json.hpp>

namespace thaw::emulator {

void send_error(http::ResponseWriter& writer, const AwsError& error, std::string_view request_id,
                std::string_view message) {
  nlohmann::ordered_json document;
  if (!error.reason.empty()) document["Reason"] = error.reason;
  document["Type"] = error.status < 500 ? "User" : "Service";
  document[std::string(error.member)] = message;
  http::Fields headers{{"Content-Type", "application/json"},
                       {"x-amzn-RequestId", std::string(request_id)},
                       {"x-amzn-ErrorType", std::string(error.type)}};
  if (error.status == 429) headers.add("Retry-After", "1");
  // A caller that went away hears nothing; there is nobody else to tell.
  (void)writer.send(error.status, headers,
                    document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace thaw::emulator
