# The standard library's headers, compiled once: they are two thirds of what a small source costs. A
# build with THAW_PCH off (the debug, coverage and fuzz presets) finds the source that leans on
# them, without including what it uses.
option(THAW_PCH "Precompile the standard library's headers" ON)
set(thaw_pch_headers <algorithm> <array> <atomic> <charconv> <chrono> <cmath> <cstdint> <cstdio>
  <cstring> <functional> <map> <memory> <mutex> <optional> <span> <string> <string_view> <thread>
  <utility> <variant> <vector>)
# The target thaw_NAME, whose headers thaw_use_pch() lends to others with the same compiler flags.
function(thaw_pch name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "HEADERS;LINK")
  if(THAW_PCH)
    file(WRITE ${PROJECT_BINARY_DIR}/${name}.cc "// Precompiled headers.\n")
    add_library(thaw_${name} STATIC ${PROJECT_BINARY_DIR}/${name}.cc)
    target_link_libraries(thaw_${name} PRIVATE thaw_flags ${arg_LINK})
    target_precompile_headers(thaw_${name} PRIVATE ${arg_HEADERS})
  endif()
endfunction()
function(thaw_use_pch target name)
  if(THAW_PCH)
    target_precompile_headers(${target} REUSE_FROM thaw_${name})
  endif()
endfunction()
thaw_pch(pch HEADERS ${thaw_pch_headers})
if(THAW_PCH AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(thaw_flags INTERFACE -fpch-preprocess)  # lets ccache see what they hold
endif()

# The library of one folder, and the only other modules that it may include. The compiler enforces
# it: a module finds its own headers and those of DEPS (and what these need), and no others.
#   thaw_module(handler/text SOURCES a.cc b.cc DEPS base SYSTEM utf8proc)
# makes the target thaw_handler_text. SOURCES are relative to the folder. SYSTEM: outside libraries.
function(thaw_module folder)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;DEPS;SYSTEM")
  string(REPLACE "/" "_" name ${folder})
  set(root ${PROJECT_BINARY_DIR}/roots/${name})
  get_filename_component(parent ${root}/${folder} DIRECTORY)
  file(MAKE_DIRECTORY ${parent})
  if(NOT EXISTS ${root}/${folder})
    file(CREATE_LINK ${PROJECT_SOURCE_DIR}/${folder} ${root}/${folder} SYMBOLIC)
  endif()
  list(TRANSFORM arg_SOURCES PREPEND ${PROJECT_SOURCE_DIR}/${folder}/)
  list(TRANSFORM arg_DEPS REPLACE "/" "_")
  list(TRANSFORM arg_DEPS PREPEND thaw_)
  add_library(thaw_${name} STATIC ${arg_SOURCES})
  target_include_directories(thaw_${name} PUBLIC ${root})
  target_link_libraries(thaw_${name} PUBLIC ${arg_DEPS} PRIVATE thaw_flags ${arg_SYSTEM})
  thaw_use_pch(thaw_${name} pch)
endfunction()

# A GoogleTest program: every source, the modules it tests, and the label that ctest knows it by
# (unit, format, golden, layering, end-to-end, fuzz-smoke). One ctest entry a program: its cases run
# in one process, which is what keeps the suite short.
#   thaw_test(base_tests SOURCES base/result_test.cc DEPS base LABEL unit)
function(thaw_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "LABEL;TIMEOUT" "SOURCES;DEPS;SYSTEM")
  list(TRANSFORM arg_DEPS REPLACE "/" "_")
  list(TRANSFORM arg_DEPS PREPEND thaw_)
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_DEPS} thaw_flags thaw_gtest ${arg_SYSTEM})
  target_compile_definitions(${name} PRIVATE THAW_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  thaw_use_pch(${name} test_pch)
  if(THAW_PCH AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${name} PRIVATE ${thaw_false_overruns})
  endif()
  add_test(NAME ${name} COMMAND ${CMAKE_CROSSCOMPILING_EMULATOR} $<TARGET_FILE:${name}>)
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  if(CMAKE_CROSSCOMPILING_EMULATOR)
    target_compile_definitions(${name} PRIVATE THAW_UNDER_QEMU)
  endif()
  if(THAW_SANITIZE OR CMAKE_CROSSCOMPILING)  # several times slower
    math(EXPR arg_TIMEOUT "4 * ${arg_TIMEOUT}")
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${arg_LABEL}" TIMEOUT ${arg_TIMEOUT})
endfunction()

# Sets `variable` to what a test can start `target` with: the program itself or, where only an
# emulator can run it, a script.
function(thaw_runnable variable target)
  set(runnable $<TARGET_FILE:${target}>)
  if(CMAKE_CROSSCOMPILING_EMULATOR)
    list(JOIN CMAKE_CROSSCOMPILING_EMULATOR " " emulator)
    set(runnable ${PROJECT_BINARY_DIR}/runnable/${target})
    get_property(written GLOBAL PROPERTY thaw_runnable_${target})
    if(NOT written)  # a file may be generated once, and several tests may start a program
      set_property(GLOBAL PROPERTY thaw_runnable_${target} ON)
      file(GENERATE OUTPUT ${runnable}
        CONTENT "#!/bin/sh\nexec ${emulator} '$<TARGET_FILE:${target}>' \"$@\"\n"
        FILE_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE)
    endif()
  endif()
  set(${variable} ${runnable} PARENT_SCOPE)
endfunction()
