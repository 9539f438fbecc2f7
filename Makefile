# Sluice: one Makefile, non-recursive. `make help` lists the targets.
# Variants: make VARIANT=release|debug|asan|tsan|fuzz|cov … builds in build/VARIANT.
VARIANT ?= release
B := build/$(VARIANT)
VERSION := 0.1.0
PYTHON ?= /usr/bin/python3
JOBS ?= $(shell nproc)
SHELL := /bin/bash
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := all

BUILD_PACKAGES := build-essential pkg-config git ca-certificates libcyaml-dev libyaml-dev \
  libinotifytools0-dev libavformat-dev libavcodec-dev libavutil-dev libavfilter-dev \
  libswscale-dev libswresample-dev libcurl4-gnutls-dev libsystemd-dev libmicrohttpd-dev \
  libjansson-dev libsqlite3-dev nettle-dev python3 python3-venv python3-pip
TEST_PACKAGES := clang clang-format libclang-rt-14-dev libcmocka-dev ffmpeg python3-pytest \
  python3-pytest-xdist python3-requests python3-yaml python3-jsonschema python3-psutil \
  python3-selenium chromium chromium-driver

# --- compilers and flags ---------------------------------------------------------------------
CC := gcc
WARN := -Wall -Wextra -Werror -Wshadow -Wswitch-enum -Wformat=2 -Wvla -Wwrite-strings
BASE_CFLAGS := -std=gnu11 -D_GNU_SOURCE -g -I. -DSL_VERSION='"$(VERSION)"' $(WARN)
HARDEN := -O2 -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection -fPIE
LDHARDEN := -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed
ifeq ($(VARIANT),release)
  FLAGS := $(HARDEN)
  LDFLAGS := $(LDHARDEN)
else ifeq ($(VARIANT),debug)
  FLAGS := -O0 -fno-omit-frame-pointer
else ifeq ($(VARIANT),asan)
  FLAGS := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
  LDFLAGS := -fsanitize=address,undefined
else ifeq ($(VARIANT),tsan)
  FLAGS := -O1 -fno-omit-frame-pointer -fsanitize=thread
  LDFLAGS := -fsanitize=thread
else ifeq ($(VARIANT),fuzz)
  CC := clang
  FLAGS := -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
    -fno-sanitize-recover=undefined
  LDFLAGS := -fsanitize=address,undefined
else ifeq ($(VARIANT),cov)
  FLAGS := -O0 --coverage
  LDFLAGS := --coverage
else
  $(error VARIANT=$(VARIANT) is none of release debug asan tsan fuzz cov)
endif

pkg = $(shell pkg-config --$(1) $(2) 2>/dev/null)
DAEMON_PKGS := libcyaml yaml-0.1 libcurl libsystemd libmicrohttpd jansson sqlite3 nettle
ENCODER_PKGS := libavformat libavcodec libavfilter libswscale libswresample libavutil jansson nettle
DAEMON_LIBS = $(call pkg,libs,$(DAEMON_PKGS)) -linotifytools -lpthread
ENCODER_LIBS = $(call pkg,libs,$(ENCODER_PKGS)) -lpthread -lm

# gcc's flow warnings give false alarms under sanitizers, as its manual says.
ifneq ($(filter asan tsan,$(VARIANT)),)
  FLAGS += $(if $(filter tsan,$(VARIANT)),-Wno-tsan) -Wno-format-truncation -Wno-maybe-uninitialized -Wno-restrict -Wno-stringop-truncation
endif

# --- what belongs to what --------------------------------------------------------------------
WIRE_SRC := schemas/facts.c schemas/encspec.c schemas/record.c
BASE_SRC := $(wildcard reconcile/base/*.c)
SCHEMA_SRC := $(filter-out $(WIRE_SRC),$(wildcard schemas/*.c))
CORE_SRC := $(wildcard reconcile/core/*.c)
ROOMS_SRC := $(foreach d,io mediamtx fleet web,$(wildcard reconcile/$(d)/*.c))
CLI_SRC := $(wildcard cmd/sluice/*.c)
ENC_SRC := $(wildcard encoders/*.c)
ENCMAIN_SRC := $(wildcard cmd/sluice-encoder/*.c)
obj = $(patsubst %.c,$(B)/%.o,$(1))
SHARED_OBJ := $(call obj,$(BASE_SRC) $(WIRE_SRC))
DAEMON_OBJ := $(SHARED_OBJ) $(call obj,$(SCHEMA_SRC) $(CORE_SRC) $(ROOMS_SRC))
ENCODER_OBJ := $(SHARED_OBJ) $(call obj,$(ENC_SRC))
UNIT_SRC := $(wildcard tests/unit/test_*.c)
UNIT_ENC_SRC := $(wildcard tests/unit/test_encoders_*.c)
UNIT := $(patsubst %.c,$(B)/%,$(UNIT_SRC))
FUZZ := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))

.PHONY: all help deps test-deps mediamtx run check check-deploy bench fuzz chaos soak lint \
  format install deb unit unit-bins generated clean
all: $(B)/sluice $(B)/sluice-encoder

help:
	@echo "make run       install, build, start MediaMTX and Sluice on examples/, print the page"
	@echo "make check     every test suite (installs what they need); minutes are printed"
	@echo "make           build/release/sluice and build/release/sluice-encoder"
	@echo "make mediamtx  build/mediamtx/mediamtx     make deps      Debian packages to build"
	@echo "make lint | unit | bench | fuzz | chaos | soak | check-deploy | install | deb"

deps:
	@deploy/install-packages.sh $(BUILD_PACKAGES)
test-deps: deps
	@deploy/install-packages.sh $(TEST_PACKAGES)
mediamtx:
	@deploy/mediamtx/build.sh build/mediamtx

# --- rules -----------------------------------------------------------------------------------
$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "  CC    $@"
	@$(CC) $(BASE_CFLAGS) $(FLAGS) -MMD -MP -c $< -o $@
$(B)/reconcile/web/assets.o: $(wildcard reconcile/web/assets/*)
$(B)/sluice: $(DAEMON_OBJ) $(call obj,$(CLI_SRC))
	@echo "  LINK  $@"
	@$(CC) $(FLAGS) $(LDFLAGS) $^ $(DAEMON_LIBS) -o $@
$(B)/sluice-encoder: $(ENCODER_OBJ) $(call obj,$(ENCMAIN_SRC))
	@echo "  LINK  $@"
	@$(CC) $(FLAGS) $(LDFLAGS) $^ $(ENCODER_LIBS) -o $@
$(patsubst %.c,$(B)/%,$(UNIT_ENC_SRC)): $(B)/%: $(B)/%.o $(ENCODER_OBJ)
	@echo "  LINK  $@"
	@$(CC) $(FLAGS) $(LDFLAGS) $^ $(ENCODER_LIBS) -lcmocka -o $@
$(patsubst %.c,$(B)/%,$(filter-out $(UNIT_ENC_SRC),$(UNIT_SRC))): $(B)/%: $(B)/%.o $(DAEMON_OBJ)
	@echo "  LINK  $@"
	@$(CC) $(FLAGS) $(LDFLAGS) $^ $(DAEMON_LIBS) -lcmocka -o $@
$(B)/sim: $(call obj,$(wildcard tests/sim/*.c)) $(DAEMON_OBJ)
	@echo "  LINK  $@"
	@$(CC) $(FLAGS) $(LDFLAGS) $^ $(DAEMON_LIBS) -o $@
$(B)/engine_interleave: $(B)/tests/e2e/engine_interleave.o $(DAEMON_OBJ)
	@echo "  LINK  $@"
	@$(CC) $(FLAGS) $(LDFLAGS) $^ $(DAEMON_LIBS) -o $@
$(B)/fuzz/%: $(B)/tests/fuzz/%.o $(DAEMON_OBJ)
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	@$(CC) $(FLAGS) $(LDFLAGS) -fsanitize=fuzzer $^ $(DAEMON_LIBS) -o $@
.PRECIOUS: $(B)/%.o
-include $(shell find $(B) -name '*.d' 2>/dev/null)

# Generated and committed; lint fails when they are stale.
generated: $(B)/sluice
	$(B)/sluice schema > schemas/sluice-v1.schema.json

# --- running and checking --------------------------------------------------------------------
run: deps
	@$(MAKE) --no-print-directory -j$(JOBS) all mediamtx
	@deploy/run.sh
unit-bins: $(UNIT)
unit: unit-bins
	@tests/unit/run.sh $(UNIT)
lint: all
	@tests/lint/run.sh $(B)
check: test-deps
	@tests/check.sh
check-deploy: test-deps all mediamtx
	$(PYTHON) -m pytest -q tests/deploy
bench: all mediamtx
	@$(PYTHON) tests/bench/bench.py $(if $(N),--streams $(N))
fuzz:
	@tests/fuzz/run.sh
chaos: all mediamtx
	$(PYTHON) -m pytest -q tests/chaos --faults $(or $(FAULTS),200)
soak: all mediamtx
	$(PYTHON) -m pytest -q tests/chaos --soak $(or $(MINUTES),30)
format:
	@git ls-files '*.[ch]' | xargs clang-format -i

DESTDIR ?=
PREFIX ?= /usr
install: all
	install -D -m 755 $(B)/sluice $(DESTDIR)$(PREFIX)/bin/sluice
	install -D -m 755 $(B)/sluice-encoder $(DESTDIR)$(PREFIX)/bin/sluice-encoder
	install -D -m 644 deploy/sluice.yaml $(DESTDIR)/etc/sluice/sluice.yaml
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	install -m 644 deploy/systemd/*.service $(DESTDIR)$(PREFIX)/lib/systemd/system/
	install -D -m 644 deploy/systemd/sluice.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/sluice.conf
	install -D -m 644 deploy/systemd/sluice.tmpfiles $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/sluice.conf
	install -D -m 644 schemas/sluice-v1.schema.json \
	  $(DESTDIR)$(PREFIX)/share/sluice/sluice-v1.schema.json
deb: all
	deploy/build-deb.sh build build/deb $(VERSION)
clean:
	rm -rf build
