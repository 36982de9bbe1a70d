# Baton's tasks. `make demo` and `make test` are all that a newcomer needs.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help deps model test-models build demo test bench bench-kernels bench-parameters bench-peer bench-serving bench-cluster chaos lint format tidy simulate sanitize generate check-generated check-deploy clean

BATON_CACHE ?= $(HOME)/.cache/baton
BATON_MODELS ?= $(BATON_CACHE)/models
export BATON_CACHE BATON_MODELS

BATON := .build/release/baton
# No test imports with @testable, so the tests share every object file with the plain release build.
TEST_FLAGS := -c release --disable-testable-imports --disable-xctest --no-parallel
SANITIZED_SUITES ?= ThreadPoolTests|KernelTests|AttentionTests|AttentionTaskTests|PanelTaskTests|PiecewisePassTests|MatmulTests|KVCacheTests|SchedulingTests|EngineTests|TokenizationTests|GGUF|ServingTypesTests|ObservabilityTests|SpeculativeDecodingTests

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## Install what is missing of the system's packages, and only that
	@scripts/deps

model: ## Bring SmolLM2-135M-Instruct (98 MB); MODEL=gemma3, qwen0.5b, qwen1.5b or all for others
	@scripts/fetch-model $(or $(MODEL),smollm2)

test-models:
	@scripts/fetch-model smollm2 gemma3

build: deps ## Build the baton binary, release
	swift build -c release --product baton

demo: deps build model ## A router, two prefill and two decode workers and a Redis, answering a prompt
	@scripts/demo $(BATON)

test: deps test-models ## Everything that can be checked here: lint, tests with real models, manifests
	@scripts/test $(TEST_FLAGS)

bench: build model ## Tokens a second and hand-off time of this machine
	$(BATON) bench --model $(BATON_MODELS)/SmolLM2-135M-Instruct.Q4_1.gguf

bench-kernels: ## Each kernel alone beside what the machine can do (FILTER=text for some of them)
	BATON_PACKAGE=core swift build -c release --scratch-path .build-core --product kernel-bench
	.build-core/release/kernel-bench kernels --filter '$(FILTER)'

bench-parameters: build model ## What each parameter does to a load (PARAMETERS="block_size threads" for some)
	scripts/bench-parameters $(BATON) $(BATON_MODELS)/SmolLM2-135M-Instruct.Q4_1.gguf $(PARAMETERS)

bench-peer: build ## Beside llama.cpp, which is built outside the checkout (an hour; ARGS="--quick --models smollm2" for less)
	@scripts/deps peers
	swift build -c release --product kernel-bench
	@scripts/bench-peer $(ARGS)

bench-serving: build ## Served load beside vLLM and llama.cpp, and baton's own comparisons (an hour; ARGS="--quick --only shared-prefix" for less)
	@scripts/deps peers
	@scripts/bench-serving $(ARGS)

bench-cluster: build ## Routing, router, directory and hand-off with simulated workers, against their bars (ARGS="--only router" for less)
	@scripts/bench-cluster $(ARGS)

chaos: build model ## Ten minutes of faults under load: no wrong answer, no hang, no leak (SEED=n DURATION=seconds for others)
	@mkdir -p .bench
	$(BATON) bench chaos --model $(BATON_MODELS)/SmolLM2-135M-Instruct.Q4_1.gguf --seed $(or $(SEED),1) --duration $(or $(DURATION),600) --json .bench/chaos.json

lint: ## Check the format of the sources
	swift format lint --strict --recursive Package.swift Sources Tests

format: ## Format the sources
	swift format format --in-place --recursive Package.swift Sources Tests

simulate: ## Run the simulated schedules (SEED=… replays one, COUNT=… runs so many)
	BATON_SIMULATION_SEED=$(SEED) BATON_SIMULATION_COUNT=$(COUNT) swift test $(TEST_FLAGS) --filter SimulationTests

tidy: ## Check the code's own hygiene
	swift test $(TEST_FLAGS) --filter TidyTests

sanitize: deps ## Run the core's tests under the address and the thread sanitizer
	@scripts/sanitize '$(SANITIZED_SUITES)'

generate: ## Generate Sources/ServingProtos from Protos
	scripts/generate
	scripts/generated-digest --write

check-generated: ## Generate anew and compare with what is committed (minutes; `make test` compares a digest)
	scripts/check-generated
	scripts/generated-digest

check-deploy: build ## Build the manifests and validate them for each supported Kubernetes
	scripts/check-deploy $(BATON)

clean: ## Remove what was built
	rm -rf .build .build-core .build-asan .build-tsan
