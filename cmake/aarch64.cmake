# Cross build for arm64 Linux (AWS Graviton and its like); its tests run under qemu-user.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)  # so that qemu needs no arm64 libraries
set(CMAKE_CROSSCOMPILING_EMULATOR "qemu-aarch64-static;-cpu;max")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
