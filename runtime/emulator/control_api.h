// What clients ask about functions and set while they run: GetFunction, GetFunctionConfiguration,
// ListFunctions, reserved concurrency, configurations of asynchronous invocations, function URLs.
// What is set lasts until the emulator ends.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/file.h"
#include "runtime/emulator/async_settings.h"
#include "runtime/emulator/call.h"
#include "runtime/emulator/fleet.h"

namespace thaw::emulator {

// Thread-safe.
class ControlApi {
 public:
  static constexpr std::size_t kPageFunctionsMax = 50;  // AWS's: of a page of ListFunctions

  // All outlive it. `started`: what functions are said to have been changed last.
  ControlApi(Fleet& fleet, AsyncSettings& settings, const Options& options, Clock& clock,
             Files& files);

  // False: no operation of this API, and nothing was answered.
  bool serve(Call& call);

 private:
  struct Operation {
    std::string_view method, before, after;
    void (ControlApi::*serve)(Call& call, const FunctionOptions& function,
                              std::string_view qualifier);
  };
  static const Operation kOperations[];

  void get_function(Call& call, const FunctionOptions& function, std::string_view qualifier);
  void get_configuration(Call& call, const FunctionOptions& function, std::string_view qualifier);
  void get_concurrency(Call& call, const FunctionOptions& function, std::string_view qualifier);
  void put_concurrency(Call& call, const FunctionOptions& function, std::string_view qualifier);
  void delete_concurrency(Call& call, const FunctionOptions& function, std::string_view qualifier);
  void get_event_config(Call& call, const FunctionOptions& function, std::string_view qualifier);
  void put_event_config(Call& call, const FunctionOptions& function, std::string_view qualifier);
  void update_event_config(Call& call, const FunctionOptions& function, std::string_view qualifier);
  void delete_event_config(Call& call, const FunctionOptions& function, std::string_view qualifier);
  void list_event_configs(Call& call, const FunctionOptions& function, std::string_view qualifier);
  void get_url(Call& call, const FunctionOptions& function, std::string_view qualifier);
  void list_functions(Call& call);
  void get_account(Call& call);
  void set_event_config(Call& call, const FunctionOptions& function, std::string_view qualifier,
                        EventInvokeConfig config);

  Fleet& fleet_;
  AsyncSettings& settings_;
  const Options& options_;
  Clock& clock_;
  Files& files_;
  const Clock::Wall started_;
};

}  // namespace thaw::emulator
