# `make` lists what there is to do. Running, building and testing need Go alone;
# generate, verify and api-check need npm too.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

ARGS ?= --http 127.0.0.1:8080 --data data
FUZZTIME ?= 20s
CHECKS ?= 4000
SEEDS ?= 1000
# Which five mutants some-mutants runs: those of another day have their turn with another number.
TURN ?= $(shell echo $$(( $$(date +%s) / 86400 )))
# Packages whose goroutines share memory: the ones worth the race detector's price.
RACE ?= ./internal/... ./gateway/... ./services/...
# When and where test-moved runs: a time or how far ahead of now, and a time zone. What nightly
# tries besides the default: a leap day, and ten years ahead. A time must be in the future, for one
# test uses certificates that openssl makes by the machine's clock.
CLOCK ?= 2031-12-31T23:59:50Z
ZONE ?= Asia/Kathmandu
leap_day := CLOCK=2028-02-29T12:00:00Z ZONE=America/St_Johns
ten_years := CLOCK=87660h ZONE=America/St_Johns
# Twelve digits, since git would take as many as the clone needs.
VERSION ?= $(shell git describe --tags --always --abbrev=12 --dirty 2>/dev/null || echo dev)
# What builds images.
CONTAINER ?= docker
# Where build writes the program.
BINARY ?= bin/preceptor

lint := go tool -modfile=tools/lint/go.mod golangci-lint

.PHONY: help
help: ## List these targets.
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: ## Serve everything in one process on http://127.0.0.1:8080 (ARGS=…).
	@go list -f '{{if .Stale}}building, one to three minutes the first time{{end}}' modernc.org/sqlite/lib # a large package that changes only with its version
	go run ./cmd/preceptor serve $(ARGS)

.PHONY: build
build: export VERSION := $(VERSION)
build: ## Build the static binary bin/preceptor; the same sources, VERSION and Go give the same bytes.
	CGO_ENABLED=0 GOWORK=off GOAMD64=v1 GOARM64=v8.0 GOFLAGS=-trimpath go build -buildvcs=false -ldflags "-s -w -X main.version=$$VERSION" -o $(BINARY) ./cmd/preceptor

.PHONY: release
release: export VERSION := $(VERSION)
release: ## Build bin/release: an archive and an SBOM for each platform, and SHA256SUMS; docs/release.md.
	go -C tools/release run . -root ../.. -out ../../bin/release -version "$$VERSION" -time "$$(git log -1 --format=%ct)"

.PHONY: release-check
release-check: export VERSION := $(VERSION)
release-check: ## Build the release here and in a clone with empty caches, and compare the bytes (ten minutes).
	tools/release-check.sh

.PHONY: release-sign
release-sign: ## Sign bin/release/SHA256SUMS with an SSH key (KEY=file), and verify that; docs/release.md.
	tools/release-sign.sh bin/release '$(KEY)'

.PHONY: previous
previous: ## Put the last release's program at bin/previous/preceptor for tests (PRECEPTOR_PREVIOUS=folder of its files, else from its tag).
	SIGNERS="$(SIGNERS)" tools/previous.sh $(PRECEPTOR_PREVIOUS)

.PHONY: image
image: export VERSION := $(VERSION)
image: ## Build the image preceptor:VERSION, whose labels name the commit and its time (CONTAINER=podman for another engine).
	$(CONTAINER) build --build-arg "VERSION=$$VERSION" --build-arg "REVISION=$$(git rev-parse HEAD)" \
		--build-arg "CREATED=$$(TZ=UTC git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd)" --tag "preceptor:$${VERSION//+/_}" .

.PHONY: vulncheck
vulncheck: ## Look for known vulnerabilities in every module (DB=folder of a copy of vuln.go.dev, which is asked otherwise).
	go -C tools run ./vulncheck -root .. -db '$(DB)'

.PHONY: test
test: ## Run every test once, in any order; with CI set, a skipped test is a failure.
	go -C tools test ./testreport
	go -C tools test -count=1 ./mutants ./vulncheck # the cache does not see files outside of the module
	go -C tools/release test ./...
	go -C tools/openapi test -count=1 ./...
	go test -json -shuffle=on -timeout 300s ./... | go -C tools run ./testreport $(if $(CI),-no-skips)

.PHONY: test-servers
test-servers: ## Run them all again with those that start a real Postgres, PgBouncer and Redis (Debian's packages).
	go test -json -shuffle=on -timeout 20m -tags realservers ./... | go -C tools run ./testreport $(if $(CI),-no-skips)

.PHONY: test-moved
test-moved: ## Run every test with the clock moved to CLOCK (the end of a year), in the time zone ZONE; SERVERS=1 as test-servers does.
	TZ=$(ZONE) PRECEPTOR_TEST_CLOCK=$(CLOCK) go test -json -count=1 -shuffle=on -timeout 20m $(if $(SERVERS),-tags realservers) ./... | \
		go -C tools run ./testreport $(if $(CI),-no-skips)

.PHONY: test-other-days
test-other-days: ## Run test-moved with real servers at the end of a year, on a leap day, and ten years ahead.
	$(MAKE) test-moved SERVERS=1
	$(MAKE) test-moved SERVERS=1 $(leap_day)
	$(MAKE) test-moved SERVERS=1 $(ten_years)

.PHONY: nightly
nightly: test-other-days phones faults faults-cluster faults-failover skew drill attack properties mutants fuzz release-check ## Run what takes long: other days, phones, faults, skew, a drill, attacks, properties, mutants, fuzz, the release twice.

.PHONY: test-race
test-race: ## Run the concurrent packages under the race detector (RACE=…; needs a C compiler); properties get a fifth of their tries.
	CGO_ENABLED=1 go test -race -short -timeout 20m $(RACE)

.PHONY: e2e
e2e: ## Run the black-box suite alone, never from the cache: one process, four, and replicas on Postgres and Redis behind TLS.
	go test -count=1 -timeout 10m -tags realservers ./test/e2e/...

.PHONY: phones
phones: ## Play SEEDS (1000) learners with unreliable phones, and a twentieth as many on four processes.
	go -C test/e2e test -count=1 -timeout 60m -run TestTwoPhonesConverge -phones.seeds=$(SEEDS)

.PHONY: faults
faults: ## Break each part of the four services under load, with a real Postgres and Redis; prints docs/faults.md's table.
	go -C test/e2e test -count=1 -timeout 15m -tags realservers -v -run 'TestFaults$$' -faults.load=6s

.PHONY: faults-cluster
faults-cluster: ## Break a Redis Cluster of six nodes under the same load; prints the other table of docs/faults.md.
	go -C test/e2e test -count=1 -timeout 15m -tags realservers -v -run 'TestFaultsOnCluster$$' -faults.load=6s

.PHONY: faults-failover
faults-failover: ## Have standbys take over under the same load, and restore to a point in time (Debian's postgresql, patroni, etcd-server, redis-server); prints the tables.
	go -C test/e2e test -count=1 -timeout 15m -tags realservers,failover -v -run 'TestFailover$$|TestPointInTime$$' -faults.load=6s

.PHONY: skew
skew: previous ## Run each service by the program of the release before, under load, and back (Debian's postgresql, redis-server; as previous).
	go test -count=1 -timeout 20m -tags realservers -v -run 'TestSkew$$' ./test/e2e -faults.load=6s \
		$$(test ! -x bin/previous/preceptor || echo -skew.program=$(CURDIR)/bin/previous/preceptor)

.PHONY: drill
drill: ## Restore a night's backup of Postgres by the lines of docs/drill.md, verify it, and print how long each step took (LEARNERS=20000).
	go test -count=1 -timeout 60m -tags realservers -v -run 'TestDrill$$' ./test/e2e $(if $(LEARNERS),-drill.learners=$(LEARNERS))

.PHONY: attack
attack: ## Attack the program in its production limits, with honest clients beside; prints docs/security.md's table (ARGS="-attacks tokens -seed 7").
	go run ./test/attack $(if $(filter command line,$(origin ARGS)),$(ARGS))

.PHONY: attack-short
attack-short: ## Attack it for a minute.
	go run ./test/attack -dose short

.PHONY: bench
bench: ## Measure one process and four beside bare handlers, with a real Postgres and Redis, into docs/performance.md (ARGS="-rounds 1").
	go run ./test/load bench -write $(if $(filter command line,$(origin ARGS)),$(ARGS))

.PHONY: bench-peers
bench-peers: ## Measure that beside PocketBase too, which is built from its Go module the first time.
	go run ./test/load bench -write -peers $(if $(filter command line,$(origin ARGS)),$(ARGS))

.PHONY: bench-scale
bench-scale: ## Measure what requests cost each process and store, into docs/performance.md and docs/scale.md.
	go run ./test/load scale -write $(if $(filter command line,$(origin ARGS)),$(ARGS))

.PHONY: bench-growth
bench-growth: ## Measure and draw processor time as data grows to ten million entries (15 minutes, 8 GB of disk; goes on where it was).
	go run ./test/load growth -write $(if $(filter command line,$(origin ARGS)),$(ARGS))

.PHONY: bench-watchers
bench-watchers: ## Measure 10,000 streams on one gateway, with a real Postgres and Redis.
	go run ./test/load watchers -write $(if $(filter command line,$(origin ARGS)),$(ARGS))

.PHONY: bench-soak
bench-soak: ## Watch memory under full load for 20 minutes, and time the start with a million events.
	go run ./test/load soak -write $(if $(filter command line,$(origin ARGS)),$(ARGS))

.PHONY: bench-replicas
bench-replicas: ## Measure one, two and four processes of progress, with a real Postgres and Redis.
	go run ./test/load replicas -write $(if $(filter command line,$(origin ARGS)),$(ARGS))

.PHONY: bench-rebuild
bench-rebuild: ## Time replaying ten million events (ARGS="-events 1000000"); wants 5 GB of disk for minutes.
	go run ./test/load rebuild -write $(if $(filter command line,$(origin ARGS)),$(ARGS))

.PHONY: bench-go
bench-go: ## Run every Go benchmark.
	go test -run '^$$' -bench . -benchmem ./...

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (20s).
	tools/fuzz.sh $(FUZZTIME)

.PHONY: properties
properties: ## Try the properties of progress CHECKS times each, on random worlds (4000 take about twenty minutes).
	go test -count=1 -timeout 0 -run 'TestNaiveModel' ./services/progress/naivetest -rapid.checks=$(CHECKS)
	go test -count=1 -timeout 0 -run 'TestMergeIsAJoin$$|TestPercentRule6EventsNeverLowerIt|TestFoldingAgainGivesWhatIsStored|TestAddingACompletion' \
		./services/progress -rapid.checks=$(CHECKS)

.PHONY: spin
spin: ## Check the model of the merge in every order, and that planted errors are found (Debian's spin and gcc; minutes).
	services/progress/spin/run.sh

.PHONY: mutants
mutants: ## Break each rule of progress in turn, and see that a test notices; prints docs/mutants.md's table (ARGS="-only NAME").
	go -C tools run ./mutants -table $(if $(filter command line,$(origin ARGS)),$(ARGS))

.PHONY: some-mutants
some-mutants: ## Break five rules of progress: every day others (TURN=…).
	go -C tools run ./mutants -some 5 -turn $(TURN)

.PHONY: kube-check
kube-check: ## Check deploy/ and the Dockerfile, without a cluster or a container engine.
	go -C tools/kube test -count=1 . # the cache does not see files outside of the module
	go -C tools/kube run .

.PHONY: alerts
alerts: ## Write deploy/prometheus/alerts.yaml as the Prometheus operator takes it.
	go -C tools/kube run . -root $(CURDIR) -alerts

.PHONY: alerts-check
alerts-check: ## Check and test the alerts (Debian's prometheus, for promtool).
	promtool check rules deploy/prometheus/alerts.yaml
	promtool test rules deploy/prometheus/alerts_test.yaml deploy/prometheus/alerts_days_test.yaml

.PHONY: kube-apiserver-check
kube-apiserver-check: ## Apply deploy/'s overlays to a real API server, built from Go modules (minutes, the first time).
	go -C tools/kube run . -apiserver

# The black-box tests that, together, use every operation in both shapes.
traffic := TestOneProcess|TestFourProcesses|TestTwoPhonesConverge

.PHONY: api-check
api-check: export REDOCLY_TELEMETRY := off
api-check: export REDOCLY_SUPPRESS_UPDATE_NOTICE := true
api-check: api-clients ## Check the OpenAPI document: linters, generated clients and the suite's traffic against the program (needs npm).
	$(npm_bin)/spectral lint --fail-severity warn --ruleset spectral.yaml ../../../gateway/openapi.json
	$(npm_bin)/redocly lint --config redocly.yaml ../../../gateway/openapi.json
	go -C tools/apiclients vet -tags generated ./...
	go -C tools/apiclients test -count=1 -timeout 5m -tags generated ./...
	mkdir -p bin
	go test -count=1 -timeout 10m -run '$(traffic)' ./test/e2e -traffic $(CURDIR)/bin/traffic.jsonl
	go -C tools/openapi run ./traffic -complete $(CURDIR)/bin/traffic.jsonl

# Clients of the REST API, generated from the document by three programs. They are called where the lock
# put them: npm exec would download whatever has the name of one that is missing.
npm_bin := cd tools/apiclients/typescript && node_modules/.bin
.PHONY: api-clients
api-clients: tools/apiclients/typescript/node_modules
	go -C tools/apiclients tool ogen -config ogen.yaml -target generated/ogen -package ogen -clean ../../gateway/openapi.json 2>&1 | { grep -v WARN || true; }
	go -C tools/apiclients tool oapi-codegen -config oapi-codegen.yaml ../../gateway/openapi.json
	$(npm_bin)/openapi-typescript ../../../gateway/openapi.json --output generated.d.ts
	$(npm_bin)/tsc --project .

.PHONY: docs-check
docs-check: test/node/node_modules ## Check the page at /docs in Chromium, and the client of docs/clients.md over a bad network (npm; SHOTS=folder for pictures).
	cd test/node && node_modules/.bin/tsc -p .
	SHOTS=$(abspath $(SHOTS)) go test -count=1 -timeout 10m -tags node -run 'TestDocsPage$$|TestPhoneClient' ./test/e2e

.PHONY: descriptors
descriptors: protodeps ## Write the API's descriptor set, with all that it imports, to bin/descriptors.binpb.
	mkdir -p bin
	tools/buf.sh build proto --as-file-descriptor-set --output bin/descriptors.binpb

.PHONY: outside-check
outside-check: descriptors ## Use the generated Go client and the descriptor set from a module of its own.
	go -C test/outside test -count=1 . -descriptors $(abspath bin/descriptors.binpb)

.PHONY: lint
lint: ## Run the linters, pinned in tools/lint.
	$(lint) run ./...
	cd tools && go tool -modfile=lint/go.mod golangci-lint run --config ../.golangci.yml ./...
	cd tools/kube && go tool -modfile=../lint/go.mod golangci-lint run --config ../../.golangci.yml ./...
	cd tools/openapi && go tool -modfile=../lint/go.mod golangci-lint run --config ../../.golangci.yml ./...
	cd tools/apiclients && go tool -modfile=../lint/go.mod golangci-lint run --config ../../.golangci.yml .
	cd tools/release && go tool -modfile=../lint/go.mod golangci-lint run --config ../../.golangci.yml ./...
	cd test/outside && go tool -modfile=../../tools/lint/go.mod golangci-lint run --config ../../.golangci.yml ./...

.PHONY: format
format: tools/node_modules ## Format Go and proto files.
	$(lint) fmt
	tools/buf.sh format --write proto

.PHONY: generate
generate: protodeps ## Generate gen/, the OpenAPI document and the service config from proto/.
	tools/buf.sh generate
	go run ./gateway/openapigen
	go test -count=1 ./internal/rpc -run TestServiceConfigIsPublished -update

.PHONY: proto-lint
proto-lint: protodeps ## Check the style and the format of proto/.
	tools/buf.sh lint proto
	tools/buf.sh format --diff --exit-code proto

.PHONY: proto-breaking
proto-breaking: protodeps ## Check that proto/ breaks no client of the last release, a tag v* (BASE=ref for another commit).
	tools/breaking.sh $(BASE)

.PHONY: verify
verify: generate proto-lint proto-breaking ## Check that what is generated, and every go.mod, are up to date.
	go mod tidy -diff
	go -C tools mod tidy -diff
	go -C tools/kube mod tidy -diff
	go -C tools/openapi mod tidy -diff
	go -C tools/apiclients mod tidy -diff
	go -C tools/release mod tidy -diff
	go -C tools/vuln mod tidy -diff
	go -C test/outside mod tidy -diff
	go mod verify # what the caches of modules hold is what go.sum says
	git diff --exit-code -- gen gateway/openapi.json proto/service_config.json
	tools/untracked.sh gen

.PHONY: clean
clean: ## Remove what these targets leave, except data/.
	rm -rf bin .proto tools/node_modules tools/apiclients/typescript/node_modules test/node/node_modules test/node/build

# Third-party imports of proto/, printed from the Go modules that hold them.
.PHONY: protodeps
protodeps: tools/node_modules
	go -C tools run ./protodeps ../.proto

tools/node_modules tools/apiclients/typescript/node_modules test/node/node_modules: %/node_modules: %/package-lock.json
	npm --prefix $* ci --ignore-scripts --no-audit --no-fund
	touch $@
