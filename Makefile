# make            build/pushpind and build/pushpin-publish
# make check      installs what the tests need, builds, runs every test
# make run        installs what the build needs, builds, starts on port 7999 with conf/
# make help       the other targets

ifeq ($(origin CC),default)
CC = gcc
endif
BUILD ?= build
PKG_CONFIG ?= pkg-config
WERROR ?= 1

PACKAGES = libevent_core libevent_extra jansson libzmq inih openssl
WARN = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wundef \
       -Wformat=2 -Wvla -Wimplicit-fallthrough $(if $(filter 1,$(WERROR)),-Werror)
HARDEN = -fPIE -fstack-protector-strong -fcf-protection -D_FORTIFY_SOURCE=2
LDHARDEN = -pie -Wl,-z,relro,-z,now,-z,noexecstack
OPT = -O2 -g -fno-plt

ifneq ($(SANITIZE),)
BUILD := $(BUILD)/sanitize
OPT = -O1 -g -fno-omit-frame-pointer -fsanitize=$(SANITIZE) -fno-sanitize-recover=all
HARDEN = -fPIE -fstack-protector-strong
endif

# llhttp: the library where a distribution has it, else Debian's node-llhttp compiled strict
ifeq ($(shell $(PKG_CONFIG) --exists libllhttp 2>/dev/null && echo yes),yes)
LLHTTP_CFLAGS := $(shell $(PKG_CONFIG) --cflags libllhttp)
LLHTTP_LIBS := $(shell $(PKG_CONFIG) --libs libllhttp)
LLHTTP_OBJ :=
else
LLHTTP_SRC := /usr/share/llhttp
LLHTTP_CFLAGS := -isystem /usr/share/include/llhttp
LLHTTP_LIBS :=
LLHTTP_OBJ := $(BUILD)/obj/llhttp/llhttp.o $(BUILD)/obj/llhttp/api.o $(BUILD)/obj/llhttp/http.o
endif

CFLAGS ?=
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -Iinclude -Isrc $(OPT) $(HARDEN) $(WARN) $(LLHTTP_CFLAGS) \
             $(shell $(PKG_CONFIG) --cflags $(PACKAGES) 2>/dev/null) $(CFLAGS)
LIBS = $(LLHTTP_LIBS) $(shell $(PKG_CONFIG) --libs $(PACKAGES) 2>/dev/null)
ALL_LDFLAGS = $(OPT) $(LDHARDEN) $(LDFLAGS)

CORE_SRC := $(filter-out src/main/%,$(wildcard src/*/*.c))
CORE_OBJ := $(CORE_SRC:src/%.c=$(BUILD)/obj/%.o)
TEST_SRC := $(wildcard tests/unit/*/test_*.c)
TEST_BIN := $(TEST_SRC:tests/unit/%.c=$(BUILD)/unit/%)

all: $(BUILD)/pushpind $(BUILD)/pushpin-publish

$(BUILD)/obj/llhttp/%.o: $(LLHTTP_SRC)/%.c
	@mkdir -p $(@D)
	@echo "  CC $<"
	@$(CC) $(OPT) $(HARDEN) -w -DLLHTTP_STRICT_MODE=1 $(LLHTTP_CFLAGS) -c -o $@ $<

$(BUILD)/obj/%.o: src/%.c
	@mkdir -p $(@D)
	@echo "  CC $<"
	@$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/libcore.a: $(CORE_OBJ) $(LLHTTP_OBJ)
	@rm -f $@
	@ar rcs $@ $^

$(BUILD)/pushpind: $(BUILD)/obj/main/pushpind.o $(BUILD)/libcore.a
	@echo "  LD $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

PUBLISH_OBJ := $(patsubst %,$(BUILD)/obj/main/%.o,publish publishitem publishhttp publishconn publishzmq)
$(BUILD)/pushpin-publish: $(PUBLISH_OBJ) $(BUILD)/libcore.a
	@echo "  LD $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/unit/%: tests/unit/%.c $(BUILD)/libcore.a
	@mkdir -p $(@D)
	@echo "  LD $@"
	@$(CC) $(ALL_CFLAGS) -Itests/unit -MMD -MP $(ALL_LDFLAGS) -o $@ $< $(BUILD)/libcore.a $(LIBS) -lcmocka

unit: $(TEST_BIN)
	@for t in $(TEST_BIN); do $$t || exit 1; done

clean:
	rm -rf build

.PHONY: all unit clean
.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
