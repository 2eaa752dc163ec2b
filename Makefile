# Everything that is done with this project by hand or in CI. Needed: Go, gcc (for
# `make race` only), git and make. Modules are fetched by the go command itself.

GOLANGCI = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

# One set of flags for build, tests and lint, so that each package is compiled once.
# Your own GOFLAGS are kept.
GOFLAGS := $(strip $(filter-out -trimpath,$(shell go env GOFLAGS)) -trimpath)
CGO_ENABLED := 0
export GOFLAGS CGO_ENABLED

ARGS     ?=
P        ?= 2
TIMEOUT  ?= 10m
FUZZTIME ?= 20000x
SEEDS    ?=

.DEFAULT_GOAL := help
.PHONY: dev test build race fuzz lint fmt bench bench-nexmark bench-peers bench-flink bench-torch eval soak crash clean help

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

dev: build ## run everything with a simulated shop; ARGS="--for 40s --seed 7" passes flags
	bin/millrace dev $(ARGS)

test: ## run every test, the tidy test included, and 2,000 seeds of the simulation
	MILLRACE_SEEDS=$(or $(SEEDS),2000) MILLRACE_REAL_SEEDS=20 go test -p $(P) -timeout $(TIMEOUT) ./...

build: ## make bin/millrace, one static binary
	go build -ldflags '-s -w' -o bin/millrace ./cmd/millrace

race: ## run the tests in short form under the race detector (needs gcc)
	CGO_ENABLED=1 go test -race -short -p $(P) -timeout $(TIMEOUT) ./...

fuzz: ## fuzz each target for FUZZTIME, a number of runs (20000x) or a time (10m)
	@for pkg in $$(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./...); do \
		list=$$(go test -list '^Fuzz' $$pkg) || exit 1; \
		for target in $$(echo "$$list" | grep '^Fuzz'); do \
			echo "$$pkg $$target"; \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x -parallel $(P) $$pkg || exit 1; \
		done; \
	done

lint: ## check format and the rules of .golangci.yml
	go run $(GOLANGCI) run --concurrency $(P)

fmt: ## bring all files into the format that lint wants
	go run $(GOLANGCI) fmt

bench: ## measure: events per second and CPU seconds per million events, and each package
	go test -run '^$$' -bench . -timeout 60m ./...

bench-nexmark: build ## run the Nexmark queries through JetStream; ARGS="--events 1000000 --pack 1"
	bin/millrace bench nexmark $(ARGS) --json

# A module of its own, so that the product does not carry its peers. The first run fetches
# and compiles them, which takes minutes.
bench-peers: ## measure millrace beside plain Go, Watermill and Benthos; ARGS="-events 1000000"
	cd bench/peers && go vet ./... && go test -timeout $(TIMEOUT) ./... && go run . -json -plot ../../docs/peers.svg $(ARGS)

bench-flink: ## measure millrace beside Apache Flink on the Nexmark queries (needs mvn and Java 17); ARGS="-events 10000000"
	cd bench/peers/flink && mvn -q -B compile dependency:build-classpath -Dmdep.outputFile=../../../bin/flink/classpath
	cd bench/peers && go test -timeout $(TIMEOUT) ./... && go run . -nexmark -json $(ARGS)

bench-torch: ## measure the network beside PyTorch (needs python3 with torch)
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python3 bench/peers/lstm_torch/lstm_torch.py
	go test -run '^$$' -bench BenchmarkTorch -benchtime 1s -cpu 1 ./operators/lstm

eval: build ## train the subject model anew and print how well it heeds its condition
	bin/millrace train --out bin/subject.safetensors

crash: ## simulate 100 seeds on the real parts, then kill the real program over 100 times, and as often while versions change
	MILLRACE_REAL_SEEDS=$(or $(SEEDS),100) go test -count 1 -v -timeout 30m -run 'TestSimulationReal' ./engine/enginetest
	go test -count 3 -v -timeout 60m -run 'TestCrash$$' ./cmd/millrace
	MILLRACE_CRASH=1 go test -count 1 -v -timeout 30m -run 'TestCrashActivations' ./cmd/millrace

# Short forms of the simulations are ordinary tests; MILLRACE_SOAK makes them full size.
soak: ## run the long simulations; SEEDS=100000 says for how many seeds the engine is simulated
	MILLRACE_SEEDS=$(or $(SEEDS),20000) go test -count 1 -v -timeout 24h -run 'TestSimulation$$' ./engine/enginetest
	MILLRACE_SOAK=1 go test -count 1 -v -timeout 30m -run 'TestLogGoneAndBack' ./cmd/millrace
	MILLRACE_SOAK=1 go test -count 1 -v -timeout 120m -run 'TestSlowSink' ./operators
	MILLRACE_SOAK=1 go test -count 1 -v -timeout 60m -run 'TestNull|TestEngine|TestGuardrail|TestBandit|TestPlanned|TestWeighted|TestPolicy|TestShrink|TestUplift|TestLinear|TestRamp|TestUniform|TestLayer' ./operators/experiment

clean: ## remove what was built; the data directory stays
	rm -rf bin coverage.out
