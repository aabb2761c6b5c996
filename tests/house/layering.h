// Who may include whom: the floors of the house as a table, and the check of every source and of
// every CMake list against it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "source_view.h"

namespace thaw::house {

// A folder that is a module of its own, and the other modules that it may include and link.
struct Room {
  std::string_view folder;
  std::vector<std::string_view> may_use;
};
const std::vector<Room>& rooms();

// The room that a file lies in: the longest folder of rooms() that its path begins with; empty for
// tests, bench and what lies at the top.
std::string_view room_of(std::string_view path);

// Includes of ours that go beside, above or nowhere, or that are not written from the root; outside
// libraries that have no business in that room; a .cc that does not include its own header first.
std::vector<Finding> check_includes(const std::vector<SourceFile>& tree);

// DEPS of thaw_module() that the table does not allow, and modules that it does not know.
std::vector<Finding> check_links(const std::vector<SourceFile>& tree);

// What only mains do (read the environment) and only `runtime` does (write to streams), and what
// nobody does (sleep, detach a thread).
std::vector<Finding> check_manners(const std::vector<SourceFile>& tree);

}  // namespace thaw::house
