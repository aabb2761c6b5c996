# thaw_flags: what every unit of ours is compiled with.
option(THAW_WERROR "Warnings are errors" ON)
set(THAW_SANITIZE "" CACHE STRING "Sanitizers, by -fsanitize's names: address,undefined or thread")

add_library(thaw_flags INTERFACE)
target_compile_options(thaw_flags INTERFACE
  -Wall -Wextra -Wconversion -Wno-sign-conversion
  -ffp-contract=off     # one result: fused only where the source says fma
  -fno-math-errno
  -ffunction-sections -fdata-sections)  # so that the linker drops what a program never calls
if(THAW_WERROR)
  target_compile_options(thaw_flags INTERFACE -Werror)
endif()
# What gcc 12 takes for overruns and is none: strings in precompiled headers, which it no longer
# knows for system headers (in tests, and anywhere for arm64), and its own instrumentation of the
# standard library.
set(thaw_false_overruns -Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread
  -Wno-restrict)
if(CMAKE_CROSSCOMPILING)
  target_compile_options(thaw_flags INTERFACE ${thaw_false_overruns})
endif()
if(THAW_SANITIZE)
  add_compile_options(-fsanitize=${THAW_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${THAW_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # gcc 12 takes its own instrumentation of the standard library for uninitialised reads, too.
    target_compile_options(thaw_flags INTERFACE -Wno-maybe-uninitialized ${thaw_false_overruns})
  endif()
endif()
# ccache where it is installed: never needed, often quick. One that the caller names is kept.
find_program(THAW_CCACHE ccache)
if(THAW_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # It takes precompiled headers for changed unless told that their time stamps don't matter.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros
    ${THAW_CCACHE})
endif()
find_package(Threads REQUIRED)
target_link_libraries(thaw_flags INTERFACE Threads::Threads)
