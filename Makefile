# What a person types. CMake does the work; see CMakePresets.json.
.DEFAULT_GOAL := help
.PHONY: help setup model build arm64-bootstrap test demo test-asan test-tsan test-aarch64 test-clients test-rie test-pool test-foreign test-soak package \
  coverage fuzz clean

JOBS ?= $(shell nproc)
FUZZ_RUNS ?= 100000
ARCH ?= all

help:
	@echo "make demo          a real model answers a real event: installs, builds, downloads, runs"
	@echo "make test          everything, tested"
	@echo "make build         the programs build/release/thaw and build/release/bootstrap"
	@echo "make test-asan     the tests under AddressSanitizer and UndefinedBehaviorSanitizer"
	@echo "make test-tsan     the tests under ThreadSanitizer"
	@echo "make test-aarch64  the tests for arm64, under qemu-user"
	@echo "make test-clients  OpenAI's clients, the AI SDK, AWS's SDKs, awscli and curl against both programs"
	@echo "make test-foreign  functions in Go and Rust under thaw emulate"
	@echo "make test-soak     100,000 invocations with faults on purpose (SOAK=count)"
	@echo "make test-rie      both architectures' packages under AWS's runtime interface emulator"
	@echo "make test-pool     ten million simulated invocations against the warm pool's invariants"
	@echo "make package SNAPSHOT=F.thaw [ARCH=x86-64|aarch64]"
	@echo "                   Lambda's zip, Function Compute's, an OCI image layout: build/package"
	@echo "make coverage      the tests, and which lines they reach"
	@echo "make fuzz          libFuzzer on every reader of foreign bytes (FUZZ_RUNS=$(FUZZ_RUNS))"
	@echo "make setup         the Debian packages that building and testing need"
	@echo "make model         the model of the demo, SmolLM2-135M-Instruct, into models/"
	@echo "make clean         removes build/"

setup:
	@bash deploy/setup.sh build model test cross

model:
	@bash deploy/setup.sh model
	@bash deploy/model.sh

# The programs alone need fewer packages than their tests; a folder configured for tests stays so.
build:
	@bash deploy/setup.sh build
	@[ -f build/release/build.ninja ] || cmake --preset release -DTHAW_TESTS=OFF
	cmake --build --preset release --parallel $(JOBS) --target thaw bootstrap

demo:
	@bash deploy/setup.sh build model
	@$(MAKE) --no-print-directory build model
	@bash deploy/demo.sh

test: arm64-bootstrap model
	cmake --build --preset aarch64 --parallel $(JOBS) --target kernels_tests kernels_sets_tests
	ctest --preset aarch64 --tests-regex '^kernels_'
	cmake --preset release -DTHAW_TESTS=ON
	cmake --build --preset release --parallel $(JOBS)
	ctest --preset release --parallel $(JOBS)

# The end-to-end tests run it under qemu-user.
arm64-bootstrap: setup
	cmake --preset aarch64
	cmake --build --preset aarch64 --parallel $(JOBS) --target bootstrap

test-asan test-tsan test-aarch64: test-%: arm64-bootstrap model
	cmake --preset $*
	cmake --build --preset $* --parallel $(JOBS)
	ctest --preset $* --parallel $(JOBS)

test-pool:
	@bash deploy/setup.sh build test
	cmake --preset release -DTHAW_TESTS=ON
	cmake --build --preset release --parallel $(JOBS) --target pool_soak
	build/release/tests/warmpool/pool_soak 10000000 20

test-clients: build model
	@bash deploy/setup.sh clients
	@bash tests/clients/install.sh build/clients
	@python3 tests/clients/run.py build/release build/clients

test-foreign: build
	@bash deploy/setup.sh foreign
	@bash tests/foreign/build.sh build/foreign
	@python3 tests/foreign/run.py build/release/thaw build/foreign

SOAK ?= 100000
test-soak:
	@bash deploy/setup.sh build test
	cmake --preset release -DTHAW_TESTS=ON
	cmake --build --preset release --parallel $(JOBS) --target emulator_soak fake_bootstrap
	build/release/tests/soak/emulator_soak $(SOAK) 1 build/release/tests/emulator/fake_bootstrap

# What goes out to the platforms, in build/package; the smallest part of the house that each needs.
arch_is = $(filter $(1) all,$(ARCH))
bootstraps = $(if $(call arch_is,x86-64),--bootstrap x86-64=build/release/bootstrap) \
  $(if $(call arch_is,aarch64),--bootstrap aarch64=build/aarch64/bootstrap)

.PHONY: package-asked
package-asked:
	@[ -n "$(SNAPSHOT)" ] || { echo "make package: no snapshot; SNAPSHOT=F.thaw names one" >&2; exit 2; }

package: package-asked $(if $(call arch_is,x86-64),build) $(if $(call arch_is,aarch64),arm64-bootstrap)
	@python3 deploy/package.py "$(SNAPSHOT)" $(bootstraps) --out build/package

test-rie: build model arm64-bootstrap
	@mkdir -p build/rie
	build/release/thaw freeze models/SmolLM2-135M-Instruct.Q4_1.gguf -o build/rie/smollm2.thaw
	@python3 deploy/package.py build/rie/smollm2.thaw --bootstrap x86-64=build/release/bootstrap \
	  --bootstrap aarch64=build/aarch64/bootstrap --out build/rie/package
	@for arch in x86-64 aarch64; do python3 tests/rie/run.py --arch $$arch --cache build/cache \
	  --package build/rie/package/lambda-$$arch-smollm2.zip || exit 1; done

coverage: arm64-bootstrap model
	@bash deploy/setup.sh coverage
	cmake --preset coverage
	cmake --build --preset coverage --parallel $(JOBS)
	ctest --preset coverage --parallel $(JOBS)
	gcovr --root . --object-directory build/coverage --exclude tests/ --exclude bench/ \
	  --exclude-throw-branches --sort-percentage --txt build/coverage/coverage.txt --print-summary

fuzz:
	@bash deploy/setup.sh build test fuzz
	cmake --preset fuzz
	cmake --build --preset fuzz --parallel $(JOBS) --target fuzzers
	@bash tests/fuzz/run.sh build/fuzz $(FUZZ_RUNS)

clean:
	rm -rf build
