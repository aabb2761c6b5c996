// Threads that signals pass by.
#pragma once

#include <functional>
#include <thread>

namespace thaw {

// Starts a thread that takes no signal that a process is sent: those belong to main's thread, whose
// waits they are to interrupt. Signals of the thread's own faults stay, since one that is blocked
// ends the process whatever its handler (install_bus_guard() has one). Throws std::system_error
// where the system lends no more threads.
std::thread quiet_thread(std::function<void()> work);

}  // namespace thaw
