# Portcullis: `make run` starts a registry, `make test` proves it. `make help` lists the rest.
.DEFAULT_GOAL := help
SHELL := /bin/sh

# Where `make run` keeps its data, and how clients call the machine.
DIR ?= data
HOST ?=
PORT ?=

node := ./node_modules/.bin/node
# A test that hangs ends all the same, and so does one that failed and left a server running.
test_limits := --test-timeout=1200000 --test-force-exit
run_node := $$( [ -x $(node) ] && echo $(node) || echo node )

precompile = NODE_COMPILE_CACHE='$(CURDIR)/node_modules/.cache/node' $(run_node) services/portcullis/precompile.ts

node_modules/.installed: package.json package-lock.json
	npm ci --no-audit --no-fund --no-update-notifier --loglevel=error
	@touch $@

# What starts fast (docs/adr/0023-bundles-are-a-cache.md). Where it cannot be written, or is not made, the sources run.
node_modules/.precompiled: node_modules/.installed $(shell find libs services -name '*.ts' ! -name '*.test.ts')
	@$(precompile) && touch $@ 2>/dev/null || true

.PHONY: help
help: ## this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: install
install: node_modules/.installed ## what the project needs, from the lockfile
	@$(precompile) && touch node_modules/.precompiled

.PHONY: run
run: node_modules/.precompiled ## a registry with TLS, tokens and a first user (HOST=, PORT=, DIR=)
	@$(if $(PORT),REGISTRY_HTTP_ADDR=:$(PORT)) exec ./bin/portcullis quickstart --dir '$(subst ','\'',$(or $(DIR),data))' \
		$(foreach name,$(HOST),--host $(name)) $(if $(PORT),--port $(PORT))

.PHONY: test
test: node_modules/.installed ## unit, contract, property and architecture tests
	@exec $(run_node) --disable-warning=DEP0060 --test --test-timeout=1200000 --test-reporter=spec \
		'libs/**/*.test.ts' 'services/**/*.test.ts' 'test/*.test.ts' 'test/api/**/*.test.ts'

.PHONY: e2e
e2e: node_modules/.precompiled ## the stack as `make run` starts it, driven by docker, skopeo and curl
	@exec $(run_node) --test $(test_limits) --test-reporter=spec --test-concurrency=1 'test/e2e/**/*.test.ts'

.PHONY: e2e-http2
e2e-http2: node_modules/.precompiled ## the real clients once more, where HTTP/2 is spoken
	@E2E_HTTP2=1 exec $(run_node) --test $(test_limits) --test-reporter=spec --test-concurrency=1 \
		test/e2e/docker.test.ts test/e2e/clients.test.ts test/e2e/behind-nginx.test.ts

.PHONY: e2e-relayed
e2e-relayed: node_modules/.precompiled ## bytes once more, where no gateway reads or writes the storage itself
	@REGISTRY_PORTCULLIS_GATEWAY_OFFLOAD=off exec $(run_node) --test $(test_limits) --test-reporter=spec --test-concurrency=1 \
		$(patsubst %,test/e2e/%.test.ts,aborted-uploads behind-nginx clients docker edge garbage http2 old-trees \
		original-registry ownership processes read-only stopping storage-gone)

.PHONY: fleet
fleet: node_modules/.precompiled ## several of each process with a real Redis, Cluster and Sentinels
	@exec $(run_node) --test $(test_limits) --test-reporter=spec --test-concurrency=1 \
		'test/redis/**/*.test.ts' 'test/fleet/**/*.test.ts'

.PHONY: upgrade-test
upgrade-test: node_modules/.precompiled ## replaces each process of an earlier version (FROM=commit) while clients work
	@FROM=$(FROM) exec $(run_node) --test $(test_limits) --test-reporter=spec 'test/upgrade/**/*.test.ts'

.PHONY: clients
clients: node_modules/.precompiled ## podman, crane, oras, containerd, cosign of Debian's newest, and docker
	@exec $(run_node) --test $(test_limits) --test-reporter=spec 'test/clients/**/*.test.ts'

.PHONY: image-test
image-test: node_modules/.installed ## the image and the compose stack, built and run by a real engine
	@exec $(run_node) --test $(test_limits) --test-reporter=spec 'test/image/**/*.test.ts'

.PHONY: image
image: ## the container image (TAG=portcullis)
	docker build --file compose/Dockerfile --tag $(or $(TAG),portcullis) .

.PHONY: crash
crash: node_modules/.precompiled ## ends and fails the core at steps of its storage, and checks what is left
	@exec $(run_node) --test $(test_limits) --test-reporter=spec --test-concurrency=1 'test/crash/**/*.test.ts'

.PHONY: chaos
chaos: node_modules/.installed ## the same at every step, and for longer: about ten minutes
	@CHAOS=1 exec $(run_node) --test $(test_limits) --test-reporter=spec --test-concurrency=1 \
		test/redis/protocol.test.ts test/fleet/chaos.test.ts 'test/crash/**/*.test.ts'

.PHONY: bench
bench: node_modules/.precompiled ## what things cost beside others, as ratios in one run; writes docs/benchmarks.md
	@WRITE=1 $(run_node) test/bench/compare.ts
	@$(run_node) test/bench/tokens.ts
	@exec $(run_node) test/bench/requests.ts

.PHONY: bench-guessing
bench-guessing: node_modules/.installed ## what guessing passwords and flooding the token endpoint get, in a few minutes
	@exec $(run_node) test/bench/guessing.ts

.PHONY: conformance
conformance: node_modules/.installed ## the specification's own program (PROGRAM=), over TLS with login
	@exec $(run_node) test/conformance/run.ts $(PROGRAM)

.PHONY: check
check: node_modules/.installed ## types, lint and format, dead code, promises, architecture
	@for script in types lint unused promises; do npm run --silent $$script || exit 1; done
	@$(run_node) --test --test-reporter=dot test/architecture.test.ts

.PHONY: docs
docs: node_modules/.installed ## rewrites docs/commands.md and the generated part of docs/configuration.md
	@UPDATE_DOCS=1 $(run_node) --test --test-reporter=dot test/docs.test.ts

.PHONY: format
format: node_modules/.installed ## writes the house style
	./node_modules/.bin/biome check --write .

.PHONY: clean
clean: ## removes what was installed; never the data
	rm -rf node_modules
