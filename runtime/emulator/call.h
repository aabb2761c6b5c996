// One request at the public port, on its way through whoever may answer it.
#pragma once

#include <string>

#include "runtime/http/server.h"

namespace thaw::emulator {

struct Call {
  http::Request& request;
  http::ResponseWriter& writer;
  std::string request_id;
};

}  // namespace thaw::emulator
