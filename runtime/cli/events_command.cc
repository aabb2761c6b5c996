#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/str.h"
#include "runtime/cli/commands.h"
#include "runtime/triggers/samples.h"

namespace thaw::cli {

Result<Done> events(const EventsArguments& arguments, const Context& context) {
  if (arguments.action == "show") {
    THAW_TRY(event, triggers::sample_event(arguments.name));
    std::fputs(event.c_str(), context.out);
    return Done{};
  }
  if (arguments.json) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const triggers::Sample& sample : triggers::samples()) {
      list.push_back({{"name", sample.name}, {"says", sample.says}});
    }
    std::fprintf(context.out, "%s\n", list.dump().c_str());
    return Done{};
  }
  for (const triggers::Sample& sample : triggers::samples()) {
    std::fprintf(context.out, "%-20s  %s\n", std::string(sample.name).c_str(),
                 std::string(sample.says).c_str());
  }
  return Done{};
}

}  // namespace thaw::cli
