// Memory that held what a caller said. Both programs are linked with wiping_delete.cc, which wipes
// whatever is freed; these are for what is not: buffers that are kept, and the stack.
#pragma once

#include <cstddef>
#include <span>

namespace thaw {

// Sets every byte to 0; the compiler does not drop it, however dead the bytes are.
void secure_wipe(std::span<std::byte> bytes);

// Deeper than answering any event goes: the deepest template takes 300 kB, and a test holds it.
inline constexpr std::size_t kWipedStackBytes = 512 << 10;

// Wipes the stack below the caller's frame, where calls that have returned left their variables.
// Takes some kilobytes of stack and gives the rest, which must be there, back to the system.
void wipe_stack();

}  // namespace thaw
