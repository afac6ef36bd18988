# Everything that is done with this project more than once. `make help` lists it.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

.PHONY: help
help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: check
check: ## Format, lock files, mutants, lints, documentation and, where cargo-deny is installed, licences and sources
	cargo fmt --all --check
	for mutant in tools/mutants/*.patch; do git apply --check --whitespace=nowarn $$mutant; done
	cargo update --workspace --locked --quiet --manifest-path fuzz/Cargo.toml
	cargo clippy --workspace --all-targets --locked -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" cargo doc --workspace --no-deps --document-private-items --locked --quiet
	@if cargo deny --version >/dev/null 2>&1; then cargo deny --log-level error check bans licenses sources; \
	else echo "left out: cargo deny is not installed (cargo install --locked cargo-deny)"; fi

.PHONY: test
test: tools-for-tests ## Every test that needs no more than a few minutes
	cargo test --workspace --locked

.PHONY: test-all
test-all: test test-more ## Also many more kills, a browser, Schemathesis, a search of all logs, and a short run of the fuzzers

# What test-all adds to test.
.PHONY: test-more
test-more: tools-for-tests
	HELLO_KILL_CYCLES=20 cargo test --locked --package hello-birthday --test it durability
	HELLO_TEST_ALL=1 cargo test --locked --package store --test contract --test redis_cluster
	HELLO_TEST_ALL=1 cargo test --locked --package store --test postgres patroni
	tools/calendars/install
	tools/browser/install
	tools/schemathesis/install
	HELLO_TEST_ALL=1 cargo test --locked --package hello-birthday --test it -- outages exchange feed browser openapi
	$(MAKE) test-logs
	tools/fuzz 60

.PHONY: test-logs
test-logs: tools-for-tests ## Every test with logging at its finest, and no word that was sent in any log or metric
	rm -rf target/logs
	HELLO_TEST_LOGS=$(CURDIR)/target/logs cargo test --workspace --locked
	cargo run --locked --quiet --package test-servers --bin search-logs -- target/logs

# The image that is made, pushed and run: `make org=NAME upload-prod` pushes it as NAME/hello-birthday:VERSION.
image   ?= hello-birthday
version ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo 0.0.0)
platform ?=
# The tag that the chart looks for where no other is set.
released := $(shell sed -n 's/^appVersion: //p' deploy/helm/hello-birthday/Chart.yaml)
port    ?= 8080
prefix  ?= /usr/local

# Said before anything is built.
ifneq ($(filter upload-prod,$(MAKECMDGOALS)),)
$(if $(org),,$(error say whose registry: make org=NAME upload-prod))
endif

.PHONY: build
build: ## Build the container image; for other processors: make platform=linux/arm64 build
	docker build $(addprefix --platform ,$(platform)) --tag $(image) --tag $(image):$(released) --build-arg VERSION=$(version) \
		--build-arg REVISION=$$(git rev-parse HEAD 2>/dev/null || echo unknown) .

.PHONY: upload-prod
upload-prod: build ## Push the image, and write deployment.yml for kubectl: make org=NAME upload-prod
	tools/deploy/upload-prod $(image) $(org) $(version)

# Where the chart is installed: make helm-install release=... namespace=... values=FILE
release   ?= hello-birthday
namespace ?= default
values    ?=

.PHONY: helm-install
helm-install: ## Install or upgrade on Kubernetes, with a PostgreSQL beside it: make values=FILE helm-install
	helm upgrade --install $(release) deploy/helm/hello-birthday --namespace $(namespace) --create-namespace \
		$(addprefix --values ,$(values)) --wait --timeout 10m

.PHONY: kubernetes-manifests
kubernetes-manifests: ## Render deploy/kubernetes and the table of values from the chart
	tools/deploy/manifests
	$$(tools/deploy/setup)/python tools/deploy/values.py >deploy/helm/hello-birthday/README.md

.PHONY: dev
dev: ## Serve from the sources, with the data in memory: make port=80 dev (ports below 1024 ask for root)
	cargo run --locked -- --listen 127.0.0.1:$(port) --store sqlite::memory:

.PHONY: compose-up
compose-up: ## Start the service and PostgreSQL in containers, and wait until they answer
	docker compose up --build --detach --wait

.PHONY: install
install: target/release/hello-birthday ## Install the program, its systemd units, manual pages and completions: sudo make install
	install -D --mode 0755 $< $(DESTDIR)$(prefix)/bin/hello-birthday
	install -D --mode 0644 --target-directory $(DESTDIR)/etc/systemd/system deploy/systemd/hello-birthday.*
	sed -i 's#^ExecStart=/usr/local#ExecStart=$(prefix)#' $(DESTDIR)/etc/systemd/system/hello-birthday.service
	install -d $(DESTDIR)$(prefix)/share/man/man1
	target/release/hello-birthday manual $(DESTDIR)$(prefix)/share/man/man1
	install -d $(foreach folder,bash-completion/completions zsh/site-functions fish/vendor_completions.d,\
		$(DESTDIR)$(prefix)/share/$(folder))
	target/release/hello-birthday completions bash >$(DESTDIR)$(prefix)/share/bash-completion/completions/hello-birthday
	target/release/hello-birthday completions zsh >$(DESTDIR)$(prefix)/share/zsh/site-functions/_hello-birthday
	target/release/hello-birthday completions fish >$(DESTDIR)$(prefix)/share/fish/vendor_completions.d/hello-birthday.fish

# Not as root, who often has no cargo: `cargo build --release --locked` goes before `sudo make install`.
target/release/hello-birthday:
	cargo build --release --locked

.PHONY: check-deploy
check-deploy: check-files check-pipelines check-kubernetes check-monitoring check-aws check-containers check-release ## What is shipped beside the program, read by linters and run

# The parts of check-deploy. Files: what a change of them needs, in a minute.
.PHONY: check-files
check-files:
	tools/deploy/files

.PHONY: check-pipelines
check-pipelines:
	tools/deploy/pipelines

.PHONY: check-kubernetes
check-kubernetes:
	tools/deploy/chart
	tools/deploy/upload-prod-rehearsed
	tools/deploy/pods

.PHONY: check-monitoring
check-monitoring:
	tools/deploy/monitoring

.PHONY: check-aws
check-aws:
	tools/deploy/terraform
	tools/deploy/database-roles

.PHONY: check-containers
check-containers:
	tools/deploy/with-docker tools/deploy/containers

.PHONY: check-release
check-release:
	tools/deploy/reproducible
	tools/install haproxy postgresql-15
	tools/rehearse/next-version
	cargo build --locked --package hello-birthday
	cargo run --locked --package rehearse -- rollout target/debug/hello-birthday target/next/hello-birthday \
		--rounds 1 --requests 0 --rate 1500
	@echo "left out: ten rounds and a million requests of the rehearsed rollout (make rollout)"

.PHONY: rollout
rollout: ## Upgrade three instances behind HAProxy ten times under load: of a million requests none may fail
	tools/install haproxy postgresql-15
	tools/rehearse/next-version --release
	cargo build --release --locked
	cargo run --release --locked --package rehearse -- rollout target/release/hello-birthday target/next/hello-birthday

# The installation on AWS (docs/aws.md): which of deploy/terraform/examples, in which region, and by which name.
example ?= small
region  ?= eu-west-1
name    ?= hello-birthday
aws     := deploy/terraform/examples/$(example)

.PHONY: aws-state
aws-state: ## Make the bucket for Terraform's state, once for an account and region: make region=eu-west-1 aws-state
	terraform -chdir=deploy/terraform/bootstrap init
	terraform -chdir=deploy/terraform/bootstrap workspace select -or-create $(region)
	terraform -chdir=deploy/terraform/bootstrap apply -var region=$(region)
	terraform -chdir=deploy/terraform/bootstrap output -raw backend >$(aws)/backend-$(region).hcl

.PHONY: aws-roots
aws-roots: ## Fetch the authorities that RDS's certificates are from
	curl --fail --silent --show-error --output $(aws)/roots-$(region).pem \
		https://truststore.pki.rds.amazonaws.com/$(region)/$(region)-bundle.pem

.PHONY: aws-plan
aws-plan: ## Say what would be made on AWS: make example=production aws-plan
	terraform -chdir=$(aws) init -reconfigure -backend-config=backend-$(region).hcl \
		-backend-config=key=$(name)/$(example).tfstate
	terraform -chdir=$(aws) plan -var region=$(region) -var name=$(name) \
		$(if $(wildcard $(aws)/$(region).tfvars),-var-file=$(region).tfvars) -out=plan.tfplan

.PHONY: aws-apply
aws-apply: ## Make what aws-plan said
	terraform -chdir=$(aws) apply plan.tfplan

.PHONY: aws-deploy
aws-deploy: ## Release what is checked out on AWS: build, push, migrate, replace, verify, or go back
	AWS_REGION=$(region) NAME=$(name) deploy/aws/release

.PHONY: diagrams
diagrams: ## Draw the pictures of docs/diagrams
	tools/install graphviz
	PATH=$$(tools/deploy/setup):$$PATH python3 tools/deploy/draw.py docs/diagrams

.PHONY: bench
bench: ## Measure, side by side in one run; the results are told in docs/benchmarks.md
	cargo build --release --locked
	cargo run --release --locked --package bench -- --raw target/bench.jsonl
	tools/engines/run > target/engines.jsonl
	tools/engines/coming > target/coming.jsonl
	tools/engines/million > target/million.jsonl

.PHONY: prove
prove: tools-for-tests ## The long runs: 200 kills, 20 dead masters, outages, a million users, Schemathesis, fuzzing, and mutants
	HELLO_KILL_CYCLES=200 cargo test --release --locked --package hello-birthday --test it durability -- --nocapture
	HELLO_TEST_ALL=1 HELLO_RECORDS=1000000 cargo test --release --locked --package hello-birthday --test it -- \
		--nocapture --test-threads 1 outages a_house_of_any_size
	HELLO_TEST_ALL=1 cargo test --locked --package store --test postgres patroni -- --nocapture
	HELLO_TEST_ALL=1 HELLO_FAILOVERS=20 cargo test --locked --package store --test redis_cluster -- \
		--nocapture --test-threads 1 is_lost loss_of_a_failover what_a_replica
	tools/schemathesis/install
	HELLO_TEST_ALL=1 HELLO_SEED=$$RANDOM cargo test --locked --package hello-birthday --test it -- --nocapture openapi::schemathesis
	tools/mutants/run
	tools/fuzz 600

.PHONY: tools-for-tests
tools-for-tests:
	@tools/install curl strace postgresql-15 patroni etcd-server pgbouncer redis-server redis-tools
	@tools/redis/install
