// What the pool asks of whoever runs instances. Nothing here calls back into the pool.
#pragma once

#include <cstdint>
#include <string_view>

namespace thaw::warmpool {

using InstanceId = std::uint64_t;  // never used twice

// An instance as the pool sees it: something that a Host has started and that can be told to end.
// Its methods return at once and must not call the pool.
class Instance {
 public:
  virtual ~Instance() = default;
  // Asks it to end, perhaps while it is paused; Pool::gone() follows when it has. At most once.
  virtual void stop() = 0;
  // Nothing of it runs from here to resume() or stop(); told where FunctionLimits::pauses is set,
  // whenever it is on lease to nobody. A host whose instances need no pausing leaves both alone.
  virtual void pause() {}
  virtual void resume() {}
};

enum class StartFor : unsigned char {
  kInvocation,   // somebody waits for it
  kProvisioned,  // to have as many ready as the function's limits promise
  kPrewarm,      // its policy expects an invocation soon
};

// Starts instances and owns them. Its methods return at once and must not call the pool.
class Host {
 public:
  virtual ~Host() = default;
  // Begins to start one; Pool::ready() or Pool::gone() follows. The Instance must live until
  // retired() names it.
  virtual Instance& start(std::string_view function, InstanceId id, StartFor why) = 0;
  // The pool has forgotten the instance, which is gone and on lease to nobody.
  virtual void retired(InstanceId id) = 0;
};

}  // namespace thaw::warmpool
