# Everything a contributor needs. `make check` is what CI runs.
SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# As the released binary is built; only the race detector needs cgo.
export CGO_ENABLED := 0

# Without the types that pgx registers in case somebody uses them: 1.4 MB of the binary. What is tested is what is released.
TAGS := nopgxregisterdefaulttypes
export GOFLAGS := $(strip $(GOFLAGS) -tags=$(TAGS))

# The one version of the linter: a newer one may find new things, so it changes by a commit.
GOLANGCI_VERSION := 2.15.0

BENCHSTAT_VERSION := v0.0.0-20260908200009-22c9c6c9d4da

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
FUZZTIME ?= 10s
BENCH    ?= .
BENCHTIME ?= 1s
FOR      ?= 1m
SEEDS    ?= 1000
FIRST    ?= 0
N        ?= 20
KILLS    ?= 1000
OLDER    ?= HEAD~1

# Where the linter may be: this checkout first, then where `go install` puts it, then the PATH.
GOLANGCI = $(shell for f in bin/golangci-lint "$$(go env GOPATH)/bin/golangci-lint" "$$(command -v golangci-lint)"; do \
	if [ -x "$$f" ] && "$$f" version 2>/dev/null | grep -q 'version v\{0,1\}$(GOLANGCI_VERSION) '; then echo "$$f"; break; fi; done)

.PHONY: help
help: ## Show what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build the static binary ./deltahook
	go build -buildvcs=false -trimpath -tags $(TAGS) -ldflags '-s -w -X main.version=$(VERSION)' -o deltahook ./cmd/deltahook

.PHONY: demo
demo: ## Watch it work: a changing API, the daemon and a verifying receiver (FOR=1m)
	go run ./cmd/deltahook demo --for $(FOR)

.PHONY: test
test: ## Run all tests
	go test -shuffle=on ./...

# SQLite itself, C that was translated to Go, is not watched for races: it would take two thirds of the time, and is not ours.
# The detector lets each process sleep a second before it ends, and the scripts run hundreds. What vet says of a package it says without
# the detector, too.
RACE := CGO_ENABLED=1 GORACE=atexit_sleep_ms=10 go test -vet=off -race -gcflags='modernc.org/sqlite/lib=-race=false' -shuffle=on

.PHONY: race
race: ## Run all tests under the race detector, random histories shortened (needs a C compiler)
	$(RACE) -short -timeout 12m ./...
	go test ./internal/simtest -run '^TestTheSimulatorFinds' # it takes minutes under the detector

.PHONY: reference
reference: ## Make the reference page and the JSON Schema of the code and config.toml
	go test ./internal/config -run TestTheSchemaAndTheReferencePage -update >/dev/null
	go test ./internal/config -run 'Schema|Reference'

.PHONY: interop
interop: ## Check deliveries with the libraries of receivers (needs the network; Node.js for most of them)
	@if ! command -v npm >/dev/null; then echo 'interop: npm is not installed; the tests of Node.js libraries are skipped' >&2; \
	elif ! npm ci --prefix interop/node --no-audit --no-fund --fetch-retries=1 --fetch-retry-mintimeout=1000 --loglevel=error; then \
		rm -rf interop/node/node_modules; echo 'interop: npm cannot install the libraries; their tests are skipped' >&2; fi
	@cd interop && { go mod download || { echo 'interop: skipped, the Go modules cannot be downloaded' >&2; exit 0; }; go test -mod=mod -count=1 -v ./...; }

.PHONY: browser
browser: ## Walk the web page with a real browser (needs Chromium; npm for the rules of accessibility)
	@if ! command -v npm >/dev/null; then echo 'browser: npm is not installed; accessibility is not checked' >&2; \
	elif ! npm ci --prefix browser --no-audit --no-fund --fetch-retries=1 --fetch-retry-mintimeout=1000 --loglevel=error; then \
		rm -rf browser/node_modules; echo 'browser: npm cannot install axe-core; accessibility is not checked' >&2; fi
	@cd browser && { go mod download || { echo 'browser: skipped, the Go modules cannot be downloaded' >&2; exit 0; }; go test -mod=mod -count=1 -timeout 8m -v ./...; }

# Each fuzz target with its package, one a line.
FUZZ_TARGETS = files=$$(grep -rl --include='*_test.go' '^func Fuzz' . || true); [ -z "$$files" ] || \
	go test -list '^Fuzz' $$(dirname $$files | sort -u) | awk '/^Fuzz/ {names[++n] = $$1} /^ok/ {for (i = 1; i <= n; i++) print $$2, names[i]; n = 0}'

.PHONY: fuzz
fuzz: ## Run every fuzz target for a while (FUZZTIME=10s each), two at a time
	@{ $(FUZZ_TARGETS); } | xargs -r -P 2 -L 1 bash -c ' \
		out=$$(go test -vet=off -run "^$$" -fuzz "^$$1\$$" -fuzztime $(FUZZTIME) -parallel 1 "$$0" 2>&1 </dev/null) && rc=0 || rc=$$?; \
		printf "fuzz %s %s\n%s\n" "$$0" "$$1" "$$out"; exit $$rc'

# Long runs go one after the other, whatever comes of them. What each says is in bin/long; what came of all stands at the end.
LONG = mkdir -p bin/long; table=; failed=0; \
	long() { local name=$$1 begun=$$SECONDS verdict=ok; shift; local log=bin/long/$${name//[^A-Za-z0-9]/_}.txt; echo "== $$name"; \
		"$$@" </dev/null >"$$log" 2>&1 || { verdict=FAIL; failed=1; tail -n 50 "$$log"; }; \
		table+=$$(printf '%-4s %6ds  %-60s %s' "$$verdict" "$$((SECONDS - begun))" "$$name" "$$log")$$'\n'; }; \
	sum() { printf '\n%s' "$$table"; return "$$failed"; };

.PHONY: fuzz-long
fuzz-long: FUZZTIME = 30m
fuzz-long: ## Run every fuzz target for long, findings or not, and sum up (FUZZTIME=30m each)
	@$(LONG) while read -r package target; do \
		long "$$package $$target" go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -timeout 0 "$$package"; \
	done < <($(FUZZ_TARGETS)); sum

.PHONY: race-many
race-many: ## Run all tests in full under the race detector many times, each in another order, and sum up (N=20)
	@$(LONG) for i in $$(seq $(N)); do \
		long "race $$i" env $(RACE) -count=1 -timeout 1h ./...; \
	done; sum

.PHONY: kill-many
kill-many: ## Kill the real binary at many random moments, and sum up (KILLS=1000)
	@$(LONG) \
	long 'kill' go test ./cmd/deltahook -count=1 -v -timeout 0 -run '^TestKilledAtRandomMoments' -kills $(KILLS); \
	long 'kill, and a receiver that fails' go test ./cmd/deltahook -count=1 -v -timeout 0 -run '^TestP7AReplicaConvergesThroughKills' -fault-kills $(KILLS); \
	sum

.PHONY: replicas
replicas: ## Four replicas on a PostgreSQL: kill, freeze and crash them, without the fence too; take-over and rolling restart of 10,000 sources
	@$(LONG) \
	long 'kills, freezes, crashes' go test ./cmd/deltahook -count=1 -v -timeout 0 -run '^TestFourReplicasLose' -replica-sources 1000 -replica-kills 50 -replica-stops 3 -replica-crashes 3 -replica-lease 3s -replica-every 4s; \
	long 'the same without the fence' go test ./cmd/deltahook -count=1 -v -timeout 0 -run '^TestFourReplicasWithout' -replica-control -replica-sources 300 -replica-stops 3; \
	long 'take-over and rolling restart' go test ./cmd/deltahook -count=1 -v -timeout 0 -run '^(TestTheSourcesOfADead|TestARollingRestart)' -replica-many 10000 -replica-every 20s -replica-lease 10s; \
	sum

.PHONY: older
older: ## Replace replicas of an older version by this one, and back, while everything changes (OLDER=commit, HEAD~1 if not said)
	@dir=$$(mktemp -d); trap 'git worktree remove --force "$$dir/then"; rm -rf "$$dir"' EXIT; \
	git worktree add -q --detach "$$dir/then" "$(OLDER)"; \
	(cd "$$dir/then" && go build -o "$$dir/deltahook" ./cmd/deltahook); \
	go test ./cmd/deltahook -count=1 -v -timeout 0 -run '^TestAnOlderVersion' -replica-older "$$dir/deltahook"

.PHONY: simulate
simulate: ## Live through simulated worlds of 1,000 steps (SEEDS=1000 FIRST=0)
	go test ./internal/simtest -run TestEveryPromiseHoldsInEveryWorld -seeds $(SEEDS) -first $(FIRST) -steps 1000 -timeout 0

.PHONY: bench
bench: ## Run the benchmarks and print figures, bounds and targets (BENCH=regexp, BENCHTIME=1s); all that they say is in bin/bench.txt
	@mkdir -p bin
	@go test -p 1 -timeout 2h -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -benchmem ./... | tee bin/bench.txt | go run ./cmd/benchtable

# A few that take a short time, and say something on a machine that others use too: what is done with one record and one attempt.
.PHONY: bench-compare
bench-compare: ## Compare quick benchmarks with those of the last tag
	@tag=$$(git describe --tags --abbrev=0 2>/dev/null) || { echo 'bench-compare: skipped, there is no tag to compare with' >&2; exit 0; }; \
	dir=$$(mktemp -d); trap 'git worktree remove --force "$$dir/then"; rm -rf "$$dir"' EXIT; \
	git worktree add -q --detach "$$dir/then" "$$tag"; \
	quick() { go test -run '^$$' -bench '^(BenchmarkRecord|BenchmarkAttempt)$$' -benchtime 50ms -count 6 -benchmem ./differ ./emitter; }; \
	(cd "$$dir/then" && quick) >"$$dir/then.txt"; quick >"$$dir/now.txt"; \
	go run golang.org/x/perf/cmd/benchstat@$(BENCHSTAT_VERSION) "$$tag=$$dir/then.txt" "now=$$dir/now.txt"

.PHONY: fmt
fmt: install-tools ## Format the code
	@"$(GOLANGCI)" fmt

.PHONY: format-check
format-check: install-tools
	@"$(GOLANGCI)" fmt --diff || { echo 'the code above is not formatted; run: make fmt' >&2; exit 1; }

.PHONY: vet
vet: ## Run go vet
	go vet ./...

.PHONY: lint
lint: install-tools ## Run golangci-lint: bugs, style, and the house rules
	@"$(GOLANGCI)" config verify
	@"$(GOLANGCI)" run

.PHONY: tidy-check
tidy-check:
	@go mod tidy -diff || { echo 'go.mod is not tidy; run: go mod tidy' >&2; exit 1; }

# The tests come last, so that their lines are the last ones of a CI log.
.PHONY: check
check: tidy-check format-check vet lint fuzz race ## What CI runs: format, vet, lint, short fuzz, race and docs tests

.PHONY: install-tools
install-tools: ## Install the pinned linter into ./bin, unless it is there
	@if [ -z "$(GOLANGCI)" ]; then \
		echo 'installing golangci-lint v$(GOLANGCI_VERSION) into ./bin (some minutes the first time)'; \
		GOBIN='$(CURDIR)/bin' go install 'github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v$(GOLANGCI_VERSION)'; \
	fi

# The one version of nfpm; newer ones need modules that the Go proxy does not have.
NFPM ?= go run github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.0
ARCH ?= $(shell go env GOARCH)

.PHONY: package
package: ## Build deb, rpm and bill of materials into ./dist (ARCH=amd64; needs the network the first time)
	@NFPM='$(NFPM)' packaging/package.sh '$(VERSION)' '$(ARCH)'

.PHONY: package-check
package-check: package ## Install, run, upgrade and purge the deb in a minimal Debian (root, debootstrap)
	@packaging/check-deb.sh "$$(ls -t dist/*_$(ARCH).deb | head -n 1)"

.PHONY: promtool
promtool: ## Put promtool, which judges metrics and alerts, into ./bin (from the Debian package prometheus; none of its services)
	@[ -x bin/promtool ] || command -v promtool >/dev/null || { \
		dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && mkdir -p bin && \
		(cd "$$dir" && { apt-get download -qq prometheus || { apt-get update -qq && apt-get download -qq prometheus; }; } 2>/dev/null && dpkg-deb --fsys-tarfile prometheus_*.deb | tar -xf - ./usr/bin/promtool) && \
		cp "$$dir/usr/bin/promtool" bin/promtool; } || echo 'promtool cannot be installed; its tests are skipped' >&2

.PHONY: clean
clean: ## Remove what was built
	rm -rf deltahook bin dist coverage.out
