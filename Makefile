# vzhost: every target says what it does when it works, and nothing otherwise.  `make` alone prints the list.

MAKEFLAGS += --no-print-directory
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
.SILENT:
.DEFAULT_GOAL := help

HOST_PYTHON := /usr/bin/python3
PYTHON      := build/venv/bin/python
CACHE       ?= /var/cache/vzhost
IMAGES      ?= busybox debian-12 debian-13
TEST_IMAGES := busybox debian-12 debian-13 debian-sid debian-12-sysvinit debian-13-sysvinit debian-12-openrc debian-12-runit \
    debian-12-services debian-13-services debian-12-tools debian-12-packages debian-13-packages
SNAPSHOT    ?=
TARBALL     ?=
KEEP        ?=
PYTEST_ARGS ?=
WORKERS     ?= 2
VM          ?= debian-13
VM_ARGS     ?=
SMALL       ?= 128

# What a Debian 12 or 13 needs beyond its base system.
APT_BUILD := gcc libc6-dev libffi-dev make pkg-config python3-dev python3-venv
APT_IMAGE := busybox-static mmdebstrap zstd
APT_HOST  := e2fsprogs iproute2 libcap2 libnl-3-200 libnet1 libprotobuf-c1 nftables openssh-client procps tar util-linux xz-utils
APT_BENCH := crun lxc runc systemd-container

DESTDIR ?=
LIBDIR  := /usr/lib/vzhost

##@ Start here

.PHONY: help
help:  ## This list
	awk 'BEGIN { FS = ":.*## " } /^##@ / { printf "\n%s\n", substr($$0, 5) }
	     /^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: build image-debian-12  ## From nothing to ssh into a Debian 12 CT, reboot inside, and back (KEEP=1 leaves it running)
	$(PYTHON) -m images.demo --cache $(CACHE)/images $(if $(KEEP),--keep)

.PHONY: demo-clean
demo-clean:  ## Remove what `make demo KEEP=1` left running
	$(PYTHON) -m images.demo --remove

.PHONY: test
test: build build/ansible.stamp test-images  ## Unit, root, system and lint tests (PYTEST_ARGS="-k enter" for some of them)
	$(PYTHON) -m pytest -q -n $(WORKERS) --dist loadgroup --junitxml=build/test/junit.xml $(PYTEST_ARGS)

##@ Build

.PHONY: deps
deps: build/deps.stamp build/venv.stamp  ## Debian packages (only those missing) and build/venv

.PHONY: build
build: build/shim.stamp build/runtime.stamp build/criu.stamp build/bin.stamp build/completion.stamp  ## Kernel shims, runtime of PID 1, criu, commands in build/bin

.PHONY: images
images: $(IMAGES:%=image-%)  ## The templates busybox, debian-12, debian-13 (image-NAME: one of docs/images.md; SNAPSHOT=TIME, TARBALL=FILE)

.PHONY: prove
prove: $(IMAGES:%=prove-%)  ## Build those templates again, and compare: the same recipe makes the same bytes (prove-NAME: one)

# What is already installed is left alone, so a machine without a network can still build.
build/deps.stamp: Makefile
	mkdir -p build
	missing=()
	for package in $(APT_BUILD) $(APT_IMAGE) $(APT_HOST); do
	    dpkg-query -W -f '$${db:Status-Status}' $$package 2>/dev/null | grep -qx installed || missing+=($$package)
	done
	$(call apt-install)
	touch $@

define apt-install
if [ "$${#missing[@]}" -gt 0 ]; then
    echo "deps: apt-get install $${missing[*]}"
    [ "$$(id -u)" = 0 ] || { echo "deps: run this as root: the packages above are missing" >&2; exit 1; }
    export DEBIAN_FRONTEND=noninteractive
    { apt-get -qq update && apt-get -qq -y --no-install-recommends install "$${missing[@]}"; } >build/apt.log 2>&1 ||
        { tail -n 20 build/apt.log >&2; exit 1; }
fi
endef

# Compilers talk: their words matter only when they fail.
logged = $(1) >build/make.log 2>&1 || { tail -n 20 build/make.log >&2; exit 1; }

# The stamp holds the pinned requirements: pip runs again only when they change.
build/venv.stamp: pyproject.toml | build/deps.stamp
	wanted=$$($(HOST_PYTHON) -m images.deploy requirements)
	if [ ! -x $(PYTHON) ] || [ "$$wanted" != "$$(cat $@ 2>/dev/null)" ]; then
	    echo "deps: build/venv with $$(wc -l <<<"$$wanted") pinned packages"
	    [ -x build/venv/bin/pip ] || $(HOST_PYTHON) -m venv build/venv
	    $(PYTHON) -m pip -q --disable-pip-version-check install $$wanted
	fi
	echo "$$wanted" >$@

# Ansible, which the tests let loose on containers: a program beside ours, nothing of it is imported.
build/ansible.stamp: pyproject.toml | build/venv.stamp
	wanted=$$($(HOST_PYTHON) -m images.deploy requirements --extra ansible)
	if [ "$$wanted" != "$$(cat $@ 2>/dev/null)" ]; then
	    echo "deps: build/ansible with $$wanted"
	    [ -x build/ansible/bin/pip ] || $(HOST_PYTHON) -m venv build/ansible
	    build/ansible/bin/pip -q --disable-pip-version-check install $$wanted
	fi
	echo "$$wanted" >$@

build/shim.stamp: $(wildcard hostd/kernel/_build.py hostd/kernel/*.[ch] vzinit/_sys_build.py vzinit/*.[ch]) | build/venv.stamp
	echo "build: kernel shims"
	$(call logged,$(PYTHON) -m hostd.kernel._build)
	$(call logged,$(PYTHON) -m vzinit._sys_build)
	touch $@

EMBED := $(wildcard images/embed/*.[cp]* images/embed/start/*.py)

build/runtime.stamp: images/runtime.py $(EMBED) $(wildcard vzinit/*.py) build/shim.stamp
	echo "build: the Python that PID 1 runs on"
	$(call logged,$(PYTHON) -m images.runtime build/runtime)
	touch $@

build/criu.stamp: images/criu.py hostd/checkpoint/cgroupns.c | build/venv.stamp
	echo "build: criu"
	$(PYTHON) -m images.criu build/criu --cache $(CACHE)
	touch $@

build/bin.stamp: images/client.py images/deploy.py $(EMBED) $(wildcard hostd/cli/*.py) vzinit/protocol.py build/venv.stamp
	echo "build: commands in build/bin"
	$(PYTHON) -m images.client build/bin
	$(PYTHON) -m images.deploy programs build/bin
	touch $@

build/completion.stamp: $(wildcard images/completion.*) $(wildcard hostd/command/*.py hostd/command/tools/*.py) hostd/config/settings.py build/venv.stamp
	$(PYTHON) -m images.completion build/completion
	touch $@

RECIPE = $(if $(SNAPSHOT),--snapshot $(SNAPSHOT)) $(if $(TARBALL),--tarball $(TARBALL))

image-%: | build/venv.stamp
	$(PYTHON) -m images build $* --cache $(CACHE)/images $(RECIPE)

.PHONY: test-images
test-images: | build/venv.stamp  # each waits much for the archive and for one processor
	$(MAKE) -j$(WORKERS) $(TEST_IMAGES:%=image-%)

prove-%: | build/venv.stamp
	$(PYTHON) -m images prove $* --cache $(CACHE)/images $(RECIPE)

##@ Check

.PHONY: lint
lint: | build/venv.stamp  ## ruff, mypy --strict, layers, import budgets, file lengths
	$(PYTHON) -m pytest -q tests/lint

.PHONY: bench
bench: build image-busybox  ## Start, stop, reboot, exec, status, vzlist, memory: side by side with other managers
	$(PYTHON) -m tests.bench --cache $(CACHE)/images --out build/bench

.PHONY: bench-docs
bench-docs:  ## Take the figures of the last `make bench` into docs/benchmarks.md
	cp build/bench/plot.svg docs/benchmarks.svg
	{ echo '# Benchmarks'; echo; cat build/bench/table.md; echo; echo '![medians](benchmarks.svg)'; } >docs/benchmarks.md

.PHONY: bench-deps
bench-deps: build/deps.stamp  ## Install crun, runc, LXC and systemd-nspawn for `make bench`
	missing=()
	for package in $(APT_BENCH); do
	    dpkg-query -W -f '$${db:Status-Status}' $$package 2>/dev/null | grep -qx installed || missing+=($$package)
	done
	$(call apt-install)

##@ Stock kernels in QEMU: VM=debian-13, debian-12 or debian-13-arm64 (docs/testing.md)

IN_VM = $(PYTHON) -m tests.vm $(1) --cache $(CACHE) $(VM_ARGS)

.PHONY: vm-image
vm-image: build/criu.stamp  ## Kernel, root disk and a QEMU for VM, from Debian packages, cached by the hash of their recipe
	$(call IN_VM,image $(VM))

.PHONY: test-vm
test-vm: build/criu.stamp test-images  ## Root and system tests in VM (PYTEST_ARGS="tests/system/test_exec.py -x" for some; VM_ARGS=--all)
	$(call IN_VM,test $(VM)) -- $(PYTEST_ARGS)

# What differs between kernels, and what must work on each: the rest of the suite is in test-vm-full.
VM_SHORT := tests/root/test_cgroup_tree.py tests/root/test_cgroup_hardware.py tests/root/test_kernel_features.py \
    tests/root/test_kernel_spawn.py tests/root/test_storage_layouts.py tests/root/test_checkpoint_cycle.py \
    tests/system/test_lifecycle.py tests/system/test_sysinfo.py

.PHONY: test-vm-short
test-vm-short: build/criu.stamp test-images  ## The tests that differ most between kernels, in VM
	$(call IN_VM,test $(VM) --minutes 15) -- $(VM_SHORT) $(PYTEST_ARGS)

.PHONY: test-vm-full
test-vm-full: test  ## Everything: this machine, each VM, v1 and v2, two hosts, a small one; then the summary (hours)
	failed=
	run() { echo "== $$*"; "$$@" || failed+=" [$$*]"; }
	run $(MAKE) test-vm VM=debian-13 VM_ARGS=--all
	run $(MAKE) test-vm VM=debian-12 VM_ARGS="--all --cgroup=hybrid"
	run $(MAKE) test-vm VM=debian-12 VM_ARGS=--all
	run $(MAKE) test-vm VM=debian-13-arm64 VM_ARGS=--shards=1
	run $(MAKE) test-vm-hosts
	run $(MAKE) test-vm-small
	run $(MAKE) vm-summary
	[ -z "$$failed" ] || { echo "failed:$$failed" >&2; exit 1; }

.PHONY: ci
ci:  ## What .ci/run does: test, test-vm-short, test-vm-small, and the summary (half an hour)
	$(MAKE) test
	$(MAKE) test-vm-short
	$(MAKE) test-vm-small
	$(MAKE) vm-summary

.PHONY: vm-shell
vm-shell: build/criu.stamp image-busybox  ## A shell in VM, with the working tree built in /src (VM_ARGS=--init=systemd)
	$(call IN_VM,shell $(VM))

.PHONY: test-vm-hosts
test-vm-hosts: build/criu.stamp image-busybox  ## Two machines on one link; hostd as a unit of systemd (VZ_HOSTS="debian-12 debian-13")
	CACHE=$(CACHE) $(PYTHON) -m pytest -q -p no:cacheprovider tests/vm $(PYTEST_ARGS)

.PHONY: test-vm-small
test-vm-small: build/criu.stamp image-busybox  ## What hostd and three containers take of a machine with 128 MiB of RAM (SMALL=MIB)
	$(call IN_VM,footprint $(VM) --memory $(SMALL))

.PHONY: vm-summary
vm-summary: build/venv.stamp  ## Which feature was exercised on which kernel; fails for one that was on none
	$(PYTHON) -m tests.vm summary

##@ Install

.PHONY: install
install: build  ## Into /usr/lib/vzhost and /usr/sbin (DESTDIR=/dir for a package), with unit, completion and man pages
	echo "install: $(DESTDIR)$(LIBDIR), commands in $(DESTDIR)/usr/sbin"
	$(PYTHON) -m images.deploy install --destdir "$(DESTDIR)" --libdir $(LIBDIR)

.PHONY: uninstall
uninstall:  ## Remove what `make install` put there; configuration and containers stay
	$(HOST_PYTHON) -m images.deploy uninstall --destdir "$(DESTDIR)" --libdir $(LIBDIR)

.PHONY: clean
clean:  ## Remove build/ (refuses while something is mounted below it)
	$(HOST_PYTHON) -m images.deploy clean build
