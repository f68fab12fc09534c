# make            build/pushpind and build/pushpin-publish
# make run        installs what the build needs, builds, starts on port 7999 with conf/
# make check      installs what the tests need, builds, runs every test
# make help       the other targets
#
# SANITIZE=address,undefined goes with each of them, WERROR=0 lets warnings pass, CC=clang takes another compiler.

ifeq ($(origin CC),default)
CC = gcc
endif
BUILD = build
PKG_CONFIG = pkg-config
CLANG = clang
PYTHON = /usr/bin/python3
WERROR ?= 1
VERSION = 0.1.0

# for install
PREFIX = /usr/local
bindir = $(PREFIX)/bin
mandir = $(PREFIX)/share/man
sysconfdir = $(if $(filter /usr,$(PREFIX)),/etc,$(PREFIX)/etc)
runstatedir = /run
logdir = /var/log/pushpin

# Debian packages; of A/B either will do
DEPS = gcc libc6-dev pkg-config libevent-dev libllhttp-dev/node-llhttp libjansson-dev libzmq3-dev libinih-dev libssl-dev zlib1g-dev
TEST_DEPS = python3-pytest python3-pytest-xdist python3-zmq python3-websockets python3-wsproto python3-jwt python3-cryptography \
            libcmocka-dev openssl curl procps iproute2
FUZZ_DEPS = clang libclang-rt-dev/libclang-rt-14-dev
LINT_DEPS = clang-format clang-tidy

# what of tests/conformance the product supports so far; FILE_further goes with each FILE (none named: all)
CONFORMANCE_FILES = test_test_route test_stream_hold test_response_hold test_instruct test_keep_alive test_control_port \
                    test_publish_zmq test_cli test_sequencing test_routes_reload test_tls test_unix test_stats test_commands \
                    test_ws_frames test_ws_handshake test_ws_test_route test_ws_grip test_ws_publish test_ws_fanout \
                    test_ws_deflate test_ws_over_http test_ws_over_http_errors test_ws_passthrough test_ws_stats \
                    test_bodies test_connections test_errors test_requests test_responses test_routes test_config \
                    test_cross_origin test_filters test_filters_http test_grip_headers test_links test_sharing \
                    test_ws_sockjs test_strict_http test_smuggling test_smuggling_answers
PYTEST_ARGS = -n 4 -q
FUZZ_SECONDS = 60
BENCH_ROUNDS = 3
BENCH_ONLY = stream|proxy
BENCH_SERVERS =
RELIABLE_ARGS =

PACKAGES = libevent_core libevent_extra jansson libzmq inih openssl zlib
WARN = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wundef \
       -Wformat=2 -Wvla -Wimplicit-fallthrough $(if $(filter 1,$(WERROR)),-Werror)
HARDEN = -fPIE -fstack-protector-strong $(CF_PROTECTION) -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
CF_PROTECTION := $(if $(filter x86_64 i%86,$(shell uname -m)),-fcf-protection)
LDHARDEN = -pie -Wl,-z,relro,-z,now,-z,noexecstack
OPT = -O2 -g -fno-plt

ifneq ($(SANITIZE),)
comma := ,
BUILD := $(BUILD)/$(subst $(comma),-,$(SANITIZE))
OPT = -O1 -g -fno-omit-frame-pointer -fsanitize=$(SANITIZE) -fno-sanitize-recover=all
HARDEN = -fPIE -fstack-protector-strong
endif

# llhttp: the library where a distribution has it, else Debian's node-llhttp compiled strict
ifeq ($(shell $(PKG_CONFIG) --exists libllhttp 2>/dev/null && echo yes),yes)
PACKAGES += libllhttp
else
LLHTTP_SRC := /usr/share/llhttp
LLHTTP_CFLAGS := -isystem /usr/share/include/llhttp
LLHTTP_OBJ := $(BUILD)/obj/llhttp/llhttp.o $(BUILD)/obj/llhttp/api.o $(BUILD)/obj/llhttp/http.o
endif

# pkg-config is asked once, and not before something is compiled: `make help` needs no library
asked = $(if $(filter-out 0,$(.SHELLSTATUS)),$(error libraries are missing: "make deps" installs them))
PKG_CFLAGS = $(eval PKG_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(PACKAGES)))$(asked)$(PKG_CFLAGS)
PKG_LIBS = $(eval PKG_LIBS := $(shell $(PKG_CONFIG) --libs $(PACKAGES)))$(asked)$(PKG_LIBS)

CFLAGS ?=
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -Iinclude -Isrc -I$(BUILD)/gen $(OPT) $(HARDEN) $(WARN) $(LLHTTP_CFLAGS) $(PKG_CFLAGS) $(CFLAGS)
ALL_LDFLAGS = $(OPT) $(LDHARDEN) $(LDFLAGS)
MAIN_CFLAGS = -DVERSION='"$(VERSION)"' -DCONFIGDIR='"$(sysconfdir)/pushpin"'

CORE_SRC := $(filter-out src/main/%,$(wildcard src/*/*.c))
CORE_OBJ := $(CORE_SRC:src/%.c=$(BUILD)/obj/%.o) $(LLHTTP_OBJ)
MAIN_SRC := $(filter-out src/main/pubtool%,$(wildcard src/main/*.c))
MAIN_OBJ := $(MAIN_SRC:src/%.c=$(BUILD)/obj/%.o)
TEST_SRC := $(wildcard tests/unit/*/test_*.c)
TEST_BIN := $(TEST_SRC:tests/unit/%.c=$(BUILD)/unit/%)
TEST_HELP := $(patsubst tests/unit/%.c,$(BUILD)/unit/%.o,$(wildcard tests/unit/*.c))
FUZZ_BIN := $(patsubst tests/fuzz/%.c,$(BUILD)/%,$(wildcard tests/fuzz/fuzz_*.c))
FORMATTED := $(wildcard src/*/*.[ch] include/*/*.h tests/unit/*.[ch] tests/unit/*/*.[ch] tests/fuzz/*.[ch])

# inside a recipe: two jobs for the make that it starts, unless this one was given -j
TWO = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j2) --no-print-directory
# a make of the fuzz targets: clang, in a folder of their own
FUZZ_MAKE = $(MAKE) $(TWO) CC=$(CLANG) BUILD=$(BUILD)/fuzz SANITIZE=fuzzer-no-link,address,undefined

all: $(BUILD)/pushpind $(BUILD)/pushpin-publish ## builds both programs (also what plain `make` does)

# ------------------------------------------------------------------------------------------------ building

# Notes that change only when their text does. What depends on them is built anew when flags or the list of objects change.
$(BUILD)/flags: NOTE = $(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $(PKG_LIBS)
$(BUILD)/flags-main: NOTE = $(subst ',,$(MAIN_CFLAGS))
$(BUILD)/objects: NOTE = $(CORE_OBJ) $(MAIN_OBJ)
$(BUILD)/flags $(BUILD)/flags-main $(BUILD)/objects: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(NOTE)' | cmp -s - $@ || printf '%s\n' '$(NOTE)' >$@

$(BUILD)/obj/llhttp/%.o: $(LLHTTP_SRC)/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	@echo "  CC $<"
	@$(CC) $(OPT) $(HARDEN) -w -DLLHTTP_STRICT_MODE=1 $(LLHTTP_CFLAGS) $(CFLAGS) -c -o $@ $<

$(BUILD)/obj/main/%.o: src/main/%.c $(BUILD)/flags $(BUILD)/flags-main
	@mkdir -p $(@D)
	@echo "  CC $<"
	@$(CC) $(ALL_CFLAGS) $(MAIN_CFLAGS) -MMD -MP -c -o $@ $<

# A page as the numbers of its bytes, for a C array.
$(BUILD)/gen/%.inc: src/%.html
	@mkdir -p $(@D)
	@od -An -v -tu1 $< | sed 's/[0-9]\{1,\}/&,/g' >$@

$(BUILD)/obj/origin/demo.o: $(BUILD)/gen/origin/demo.inc

$(BUILD)/obj/%.o: src/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	@echo "  CC $<"
	@$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/libcore.a: $(CORE_OBJ) $(BUILD)/objects
	@rm -f $@
	@$(AR) rcs $@ $(filter %.o,$^)

$(BUILD)/pushpind: $(MAIN_OBJ) $(BUILD)/libcore.a
	@echo "  LD $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

PUBTOOL_OBJ := $(patsubst src/%.c,$(BUILD)/obj/%.o,$(wildcard src/main/pubtool*.c))
$(BUILD)/pushpin-publish: $(PUBTOOL_OBJ) $(BUILD)/libcore.a
	@echo "  LD $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

$(BUILD)/unit/%.o: tests/unit/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	@echo "  CC $<"
	@$(CC) $(ALL_CFLAGS) -Itests/unit -MMD -MP -c -o $@ $<

$(BUILD)/unit/%: tests/unit/%.c $(TEST_HELP) $(BUILD)/libcore.a
	@mkdir -p $(@D)
	@echo "  LD $@"
	@$(CC) $(ALL_CFLAGS) -Itests/unit -MMD -MP $(ALL_LDFLAGS) -o $@ $< $(TEST_HELP) $(BUILD)/libcore.a $(PKG_LIBS) -lcmocka

$(BUILD)/fuzz_%: tests/fuzz/fuzz_%.c $(BUILD)/libcore.a
	@echo "  LD $@"
	@$(CC) $(ALL_CFLAGS) -MMD -MP $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $< $(BUILD)/libcore.a $(PKG_LIBS)

$(BUILD)/pushbench: tests/bench/pushbench.c $(BUILD)/flags
	@echo "  LD $@"
	@$(CC) -std=c11 -O2 -g $(WARN) $(CFLAGS) -o $@ $< -lz

$(BUILD)/bench_%: tests/bench/%.c $(BUILD)/libcore.a
	@echo "  LD $@"
	@$(CC) $(ALL_CFLAGS) -MMD -MP $(ALL_LDFLAGS) -o $@ $< $(BUILD)/libcore.a $(PKG_LIBS)

# ------------------------------------------------------------------------------------------------ setting up and running

deps: ## installs the Debian packages that the build needs and that are missing
	@tests/tools/deps.sh $(DEPS)

deps-check: ## the same for the tests
	@tests/tools/deps.sh $(DEPS) $(TEST_DEPS) --optional $(FUZZ_DEPS)

run: ## deps, builds, and runs the daemon in the foreground with conf/pushpin.conf
	@tests/tools/deps.sh $(DEPS) curl
	@$(MAKE) $(TWO) all
	@exec tests/tools/run.sh $(BUILD)/pushpind conf/pushpin.conf

install: all ## into PREFIX (/usr/local), under DESTDIR; configuration files that are there stay as they are
	install -d $(DESTDIR)$(bindir) $(DESTDIR)$(sysconfdir)/pushpin
	install $(BUILD)/pushpind $(BUILD)/pushpin-publish $(DESTDIR)$(bindir)
	@for f in pushpin.conf routes; do \
	    to=$(DESTDIR)$(sysconfdir)/pushpin/$$f; \
	    if [ -e $$to ]; then echo "kept as it is: $$to"; continue; fi; \
	    echo "install conf/$$f $$to"; \
	    sed -e 's|^rundir=.*|rundir=$(runstatedir)/pushpin|' -e 's|^logdir=.*|logdir=$(logdir)|' conf/$$f >$$to || exit 1; \
	done
	@for f in $(wildcard docs/man/*.[1-9]); do \
	    to=$(DESTDIR)$(mandir)/man$${f##*.}; echo "install $$f $$to"; \
	    install -d $$to && install -m 644 $$f $$to || exit 1; \
	done

# ------------------------------------------------------------------------------------------------ testing

check: ## deps-check, builds, every test below
	@tests/tools/deps.sh $(DEPS) $(TEST_DEPS) --optional $(FUZZ_DEPS)
	@$(MAKE) $(TWO) all $(BUILD)/pushbench build-unit
	@+MAKE='$(MAKE)' tests/tools/check.sh unit layers conformance e2e 'fuzz FUZZ_SECONDS=3' bench-check

build-unit: $(TEST_BIN)

unit: $(TEST_BIN) ## unit tests
	@tests/tools/unit.sh $(TEST_BIN)

conformance: all ## what goes over the wire, before a scripted origin (CONFORMANCE_FILES, PYTEST_ARGS)
	@tests/tools/pytest.sh $(PYTHON) --bin=$(abspath $(BUILD))/pushpind $(PYTEST_ARGS) \
	    $(or $(patsubst tests/%,%,$(wildcard $(CONFORMANCE_FILES:%=tests/conformance/%.py) \
	                                         $(CONFORMANCE_FILES:%=tests/conformance/%_further.py))),conformance)

e2e: all ## the program's own behaviour: quick start, options, signals
	@tests/tools/pytest.sh $(PYTHON) --bin=$(abspath $(BUILD))/pushpind $(PYTEST_ARGS) e2e

fuzz: ## runs each tests/fuzz/fuzz_NAME.c for FUZZ_SECONDS (60); needs clang
	@+if tests/tools/fuzz.sh --possible $(CLANG); then \
	    $(FUZZ_MAKE) build-fuzz && $(FUZZ_MAKE) run-fuzz; \
	else \
	    echo "fuzzing skipped: $(CLANG) with libFuzzer is not installed (Debian: clang libclang-rt-dev)"; \
	fi

build-fuzz: $(FUZZ_BIN)

run-fuzz:
	@tests/tools/fuzz.sh $(FUZZ_SECONDS) $(FUZZ_BIN)

layers: ## checks that includes go down in the map of folders
	@tests/tools/layers.sh

lint: $(BUILD)/gen/origin/demo.inc ## clang-tidy and clang-format over the sources, changing nothing
	@tests/tools/deps.sh $(DEPS) $(TEST_DEPS) $(LINT_DEPS)
	@clang-format --dry-run -Werror $(FORMATTED)
	@printf '%s\n' $(filter %.c,$(FORMATTED)) | \
	    xargs -P 2 -I @ clang-tidy --quiet @ -- $(ALL_CFLAGS) $(MAIN_CFLAGS) -Itests/unit 2>/dev/null

format: ## lays the sources out as .clang-format says
	@clang-format -i $(FORMATTED)

bench: all $(BUILD)/pushbench ## measures the daemon beside others (BENCH_ONLY, BENCH_ROUNDS, BENCH_SERVERS); needs root
	@BUILD=$(abspath $(BUILD)) tests/bench/compare.sh --rounds $(BENCH_ROUNDS) --only '$(BENCH_ONLY)' --servers '$(BENCH_SERVERS)'

bench-channels: $(BUILD)/bench_channels ## measures the memory of a million channels and the longest single call
	@$(BUILD)/bench_channels

bench-reliable: all ## measures streams that are all asked again, and long-polls before an origin with a store (RELIABLE_ARGS)
	@$(PYTHON) tests/bench/reliable.py --bin $(BUILD)/pushpind $(RELIABLE_ARGS)

bench-check: $(BUILD)/pushbench ## checks the measuring tool itself
	@PUSHBENCH=$(abspath $(BUILD))/pushbench tests/bench/check.sh

clean: ## removes build/
	rm -rf build

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## /\1: /p' $(firstword $(MAKEFILE_LIST)) | while IFS=: read -r name text; do \
	    printf '  make %-15s%s\n' "$$name" "$$text"; done
	@sed -n 's/^# SANITIZE/  SANITIZE/p' $(firstword $(MAKEFILE_LIST))

.PHONY: all deps deps-check run install check build-unit unit conformance e2e fuzz build-fuzz run-fuzz layers lint format \
        bench bench-channels bench-reliable bench-check clean help FORCE
.SECONDARY:
.DELETE_ON_ERROR:
-include $(wildcard $(BUILD)/*.d $(BUILD)/*/*.d $(BUILD)/*/*/*.d)
