// Which idle instance goes first when memory is wanted: the one whose thawing again costs least for
// the memory that it holds, grown old (greedy-dual size frequency; Fuerst and Sharma, "FaasCache",
// ASPLOS 2021): priority = age + uses x seconds to thaw / GB, age being the priority of the last
// one that went.
#pragma once

#include <cstdint>
#include <set>
#include <utility>

#include "base/check.h"
#include "warmpool/instance.h"

namespace thaw::warmpool {

class EvictionOrder {
 public:
  // `uses`: of its function, since it last had no instance. The priority names the entry.
  double add(InstanceId id, std::uint64_t uses, double thaw_seconds, std::uint64_t bytes) {
    const double gigabytes = static_cast<double>(bytes == 0 ? 1 : bytes) / 1e9;
    const double priority = age_ + static_cast<double>(uses) * thaw_seconds / gigabytes;
    order_.emplace(priority, id);
    bytes_ += bytes;
    return priority;
  }
  void remove(InstanceId id, double priority, std::uint64_t bytes) {
    const std::size_t removed = order_.erase({priority, id});
    THAW_CHECK(removed == 1);
    bytes_ -= bytes;
  }
  // The first to go; precondition: not empty. The caller then removes it.
  InstanceId choose() {
    age_ = order_.begin()->first;
    return order_.begin()->second;
  }
  bool empty() const { return order_.empty(); }
  std::uint64_t bytes() const { return bytes_; }  // of all that could go

 private:
  std::set<std::pair<double, InstanceId>> order_;
  std::uint64_t bytes_ = 0;
  double age_ = 0;
};

}  // namespace thaw::warmpool
