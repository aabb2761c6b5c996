// What comes in at the emulator's public port, and who answers it.
#pragma once

#include "runtime/emulator/control_api.h"
#include "runtime/emulator/gateway.h"
#include "runtime/emulator/invoke_api.h"

namespace thaw::emulator {

// Thread-safe.
class Front {
 public:
  // All outlive it.
  Front(Fleet& fleet, ControlApi& control, InvokeApi& invoke, Gateway& gateway, Ids& ids)
      : fleet_(fleet), control_(control), invoke_(invoke), gateway_(gateway), ids_(ids) {}

  void serve(http::Request& request, http::ResponseWriter& writer);

 private:
  Fleet& fleet_;
  ControlApi& control_;
  InvokeApi& invoke_;
  Gateway& gateway_;
  Ids& ids_;
};

}  // namespace thaw::emulator
