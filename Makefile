SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

FUZZTIME ?= 30s
BENCH    ?= .#        which benchmarks
BENCHED  ?= ./...#    of which packages
DEMO     ?=#          flags of make demo: --dir FOLDER, --until-settled
VULNDB   ?=#          a copy of the vulnerability database, for machines without a network: file:///dir

# What is tested against the real OpenStack of deploy/lab: tests with Lab in their name,
# and the facts about Heat that the simulated cloud is built on.
ACCEPTANCE     ?= ./drivers/... ./cmd/...
ACCEPTANCE_RUN ?= Lab|Facts
LAB_PROFILE    ?= all

# Times beside those of the lab's Magnum are taken when nothing else runs, not even the
# player of other boots: six minutes for one run of everything, most of it Magnum's. The
# long tests are of many clusters and of large ones.
SPEED_RUNS ?= 3#            runs of each; 0: none
LONG       ?= ^TestLong#    empty: none

LAB     := deploy/lab
BOOT_CACHE := $(or $(JEROBOAM_BOOT_CACHE),/var/cache/jeroboam-boot)
LINT    := $(GO) tool -modfile=.ci/lint.mod golangci-lint
TOOL    := $(GO) tool -modfile=.ci/tools.mod
SCRIPTS := .ci/run $(LAB)/up $(LAB)/down $(LAB)/status $(LAB)/boot $(LAB)/env.sh $(wildcard $(LAB)/lib/*.sh) \
	$(LAB)/verify/magnum $(LAB)/verify/services $(LAB)/verify/boot $(LAB)/mirror/build $(wildcard $(LAB)/mirror/lib/*.sh) \
	deploy/systemd/check deploy/container/context deploy/container/check $(wildcard templates/*/*/*.sh)
PYTHON  := $(LAB)/boot-sim $(wildcard $(LAB)/lib/*.py $(LAB)/pylib/*.py)

CI := tidy build lint lint-scripts lint-deploy race generated acceptance

.PHONY: help
help: ## print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "%-17s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: build demo container-context test race script fuzz bench
build: ## build the static binary bin/jeroboam
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w -X main.release=$(VERSION)" -o bin/jeroboam ./cmd/jeroboam

demo: build ## see in a minute what it does, on a simulated cloud (DEMO=--until-settled ends by itself)
	@bin/jeroboam demo $(DEMO)

container-context: build ## put what a container image is built from into bin/container
	deploy/container/context bin/jeroboam bin/container

test: ## run every test that needs Go alone
	$(GO) test ./...

race: ## the same with the race detector (needs gcc)
	CGO_ENABLED=1 $(GO) test -race -timeout 30m ./...

script: ## test the program as a program, uncached
	$(GO) test -count=1 ./cmd/...

fuzz: ## fuzz every fuzz test for FUZZTIME
	@found=0; while IFS=: read -r file name; do \
		found=1; echo "$$file: $$name"; \
		$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "./$$(dirname "$$file")"; \
	done < <(git grep -oE '^func Fuzz\w+' -- '*_test.go' | sed 's/func //'); \
	[ $$found = 1 ] || { echo "no fuzz test found"; exit 1; }

bench: ## run the benchmarks that match BENCH in BENCHED (the whole program: BENCHED=./cmd/jeroboam)
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -timeout 30m $(BENCHED)

.PHONY: lint lint-scripts lint-deploy dead fmt fix generate vuln
lint: ## lint the Go code, import arrows and formatting included
	$(LINT) run ./...

lint-scripts: ## check the shell and Python of deploy and .ci (needs shellcheck)
	@command -v shellcheck >/dev/null || { echo "shellcheck is missing: apt-get install shellcheck"; exit 1; }
	shellcheck -x $(SCRIPTS)
	/usr/bin/python3 -c 'import sys; [compile(open(f).read(), f, "exec") for f in sys.argv[1:]]' $(PYTHON)

lint-deploy: container-context ## check the systemd unit, and run the program with the files of the image alone
	deploy/systemd/check
	deploy/container/check bin/container

dead: ## list functions that nothing reaches, not even a test; fail when there is one
	@found=$$($(TOOL) deadcode -test ./...); [ -z "$$found" ] || { echo "$$found"; exit 1; }

fmt: ## format the Go code
	$(LINT) fmt ./...

fix: ## apply Go's modernisers
	$(GO) fix ./...

generate: ## write generated files anew
	$(GO) generate ./...

vuln: ## look for known vulnerabilities (VULNDB=file:///dir without a network)
	$(TOOL) govulncheck $(if $(strip $(VULNDB)),-db $(strip $(VULNDB))) ./...

.PHONY: lab-up lab-down lab-status lab-verify lab-verify-boot boot-mirror acceptance acceptance-etcd acceptance-ssh acceptance-kills acceptance-boot
lab-up: ## bring up a real OpenStack on loopback (Debian 12, root; deploy/lab/README.md)
	$(LAB)/up $(LAB_PROFILE)

lab-down: ## stop it, keep its state (deploy/lab/down --purge removes that too)
	$(LAB)/down

lab-status: ## one line per service of the lab
	$(LAB)/status

lab-verify: lab-up ## check the lab itself: Magnum end to end, Cinder, Octavia and Barbican through Heat
	$(LAB)/verify/services
	$(LAB)/verify/magnum

lab-verify-boot: ## check servers that boot: signal, floating IP, disks, power (after make boot-mirror)
	$(LAB)/up boot
	$(LAB)/verify/boot

boot-mirror: ## build what real nodes are made of: Kubernetes, images, a golden Debian (root; deploy/lab/mirror)
	$(LAB)/mirror/build

IN_LAB = . $(LAB)/env.sh demo; export JEROBOAM_LAB=1 OS_CLIENT_CONFIG_FILE=$(CURDIR)/$(LAB)/clouds.yaml
SPEED  = $(GO) test -count=1 -v ./drivers/heat

# No test found and a skipped test are failures: both would look like success.
# Times come first, while the services and their tables are as new as they get.
acceptance: acceptance-etcd acceptance-ssh acceptance-kills lab-up ## run the tests that need the lab, starting it when it is down (an hour; SPEED_RUNS=1 LONG= is half)
	@mkdir -p bin
	@$(IN_LAB); \
	{ { [ $(SPEED_RUNS) = 0 ] || JEROBOAM_SPEED_RUNS=$(strip $(SPEED_RUNS)) $(SPEED) -timeout 1h -run '^TestSpeed$$'; } && \
		{ $(LAB)/boot status >/dev/null || { $(LAB)/boot start; ours=1; trap '$(LAB)/boot stop' EXIT; }; } && \
		$(GO) test -count=1 -timeout 40m -parallel 8 -v -run '$(ACCEPTANCE_RUN)' $(ACCEPTANCE) && { [ -z "$${ours:-}" ] || $(LAB)/boot stop; } && \
		{ [ -z '$(strip $(LONG))' ] || $(SPEED) -timeout 1h -run '$(strip $(LONG))'; }; } 2>&1 | tee bin/acceptance.log; \
	! grep -E '^ *--- SKIP' bin/acceptance.log || { echo "acceptance: the tests above were skipped"; exit 1; }; \
	grep -q '^--- PASS' bin/acceptance.log || { echo "acceptance: no test of $(ACCEPTANCE) matches $(ACCEPTANCE_RUN)"; exit 1; }

acceptance-etcd: ## test the boot scripts' etcd: real members in network namespaces (root; builds etcd once)
	@mkdir -p bin; JEROBOAM_ETCD=1 $(GO) test -count=1 -timeout 15m -v -run '^TestEtcdReal$$' ./templates 2>&1 | tee bin/acceptance-etcd.log; \
	grep -q '^--- PASS: TestEtcdReal' bin/acceptance-etcd.log || { echo "acceptance-etcd: the test was skipped, or there is none"; exit 1; }

acceptance-ssh: ## test Git over a real OpenSSH server on a port of its own (needs sshd: Debian's openssh-server)
	@mkdir -p bin; JEROBOAM_SSHD=1 $(GO) test -count=1 -timeout 5m -v -run '^TestSSHDReal$$' ./reconcile/gitrepo 2>&1 | tee bin/acceptance-ssh.log; \
	grep -q '^--- PASS: TestSSHDReal' bin/acceptance-ssh.log || { echo "acceptance-ssh: the test failed, was skipped, or there is none"; exit 1; }

acceptance-kills: build ## kill the daemon as it is built at every point of a cluster's life (make test: at a sample of them)
	@mkdir -p bin; JEROBOAM_KILLS=$(CURDIR)/bin/jeroboam $(GO) test -count=1 -timeout 30m -v -run '^TestScripts$$/^killed-run$$' ./cmd/jeroboam >bin/acceptance-kills.log 2>&1 || { tail -n 60 bin/acceptance-kills.log; exit 1; }; \
	grep -o "killed [0-9]* times: .*" bin/acceptance-kills.log || { echo "acceptance-kills: nothing was killed"; exit 1; }

# Emulated nodes take minutes, so this is no part of make ci.
acceptance-boot: boot-mirror ## a cluster that really boots, from commits to nothing left (root; half an hour on two cores that have nothing else to do, the first mirror 45 minutes more)
	$(LAB)/up boot
	@mkdir -p bin; $(IN_LAB); JEROBOAM_BOOT=$(BOOT_CACHE)/mirror $(GO) test -count=1 -v -timeout 120m -run '^TestBootStory$$' ./cmd/jeroboam 2>&1 | tee bin/acceptance-boot.log; \
	grep -q '^--- PASS: TestBootStory' bin/acceptance-boot.log || { echo "acceptance-boot: the test failed, was skipped, or there is none"; exit 1; }

.PHONY: tidy generated ci
tidy: ## fail when go.mod or go.sum is not what the code needs
	$(GO) mod tidy -diff

generated: ## fail when generating changes a file
	@state() { git status --porcelain; git diff; }; before=$$(state); $(MAKE) --no-print-directory generate; \
	[ "$$before" = "$$(state)" ] || { git status --short; echo "make generate changed files: commit what it writes"; exit 1; }

ci: ## everything that must be green before a push, one timed line per stage
	@for stage in $(CI); do \
		echo "== $$stage"; t=$$SECONDS; \
		$(MAKE) --no-print-directory $$stage || { echo "== $$stage FAILED after $$((SECONDS - t)) s"; exit 1; }; \
		echo "== $$stage: $$((SECONDS - t)) s"; \
	done; echo "== ci: ok, $$SECONDS s"
