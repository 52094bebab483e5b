# SPDX-License-Identifier: MIT
# The front door. Meson builds user space, Kbuild the modules; the scripts
# install what they need from Debian's packages.

# These come from the command line: what the environment has of these names is
# somebody else's.
$(foreach v,BUILD VM GPU DRIVER HYBRID FRESH FUZZ MUTANTS MUTANTS_SEED NVIDIA CACHE,\
  $(if $(filter environment,$(origin $(v))),$(eval $(v) :=)))
override BUILD := $(or $(BUILD),build)
PREFIX ?= /usr/local
KDIR ?= /lib/modules/$(shell uname -r)/build
$(foreach v,BUILD KDIR NVIDIA_SRC,$(if $(findstring ',$($(v))),\
  $(error $(v)=$($(v)): a path with an apostrophe is more than make can pass on)))

.PHONY: all build demo test test-fresh test-busy unit vm test-driver test-hybrid test-debug test-sanitize test-arm64 fuzz fuzz-kernel mutants check check-nvidia format module install \
	uninstall install-module uninstall-module test-dma test-gpu \
	bench-gpu dist clean distclean help

all: build

help:
	@echo 'make demo       the whole job: pin, map, write, verify (GPU, test machine or simulation)'
	@echo 'make test       every test: unit tests, the command, installation, virtual machine'
	@echo 'make unit       the tests that need no virtual machine'
	@echo 'make vm         the virtual machine alone; VM="--kernel 6.12 --test abi-ids" narrows it, VM="--arch arm64" is an arm64 machine'
	@echo 'make test-fresh the README on minimal Debian 12 and 13 systems (20 minutes, root); FRESH="--only debian12-root"'
	@echo 'make test-busy  make test beside 4 busy processes a core'
	@echo 'make test-dma   1 GiB moved by PCI boards in the virtual machine, IOMMU off and on (half an hour)'
	@echo 'make test-driver  gpumem.ko beside NVIDIA'"'"'s open driver 535 and 550 in the virtual machine (builds them, once); DRIVER="--kernel 6.1 --driver bookworm"'
	@echo 'make test-hybrid  the virtual machine tests with the emulated GPU below NVIDIA'"'"'s own code; HYBRID="--kernel 6.12 --test dma-data"'
	@echo 'make test-debug  every virtual machine test on a kernel with KASAN, lockdep, kmemleak'
	@echo 'make test-sanitize  unit tests under ASan, UBSan and TSan, the fuzz targets for a moment'
	@echo 'make test-arm64  unit tests for arm64 under emulation'
	@echo 'make fuzz       parsers and libgdrapi under libFuzzer; FUZZ_RUNS=1000000 FUZZ="plan gdrapi"'
	@echo 'make fuzz-kernel a night of random operations on the kernel module'
	@echo 'make mutants    changes the library in 120 places, one at a time: which do the unit tests notice (hours); MUTANTS="--only lib/copy --count 20"'
	@echo 'make check      format, checkpatch, sparse, static analysis, both compilers, arm64 (on Debian 12)'
	@echo 'make build      user space into $(BUILD)/'
	@echo 'make check-nvidia  gpumem.ko against the open NVIDIA driver (builds the driver, once)'
	@echo 'make module     gpumem.ko for KDIR against NVIDIA_SRC=<NVIDIA driver source>'
	@echo 'make install-module  gpumem.ko by DKMS, the group gpumem, and loads it (DESTDIR: source only)'
	@echo 'make install    user space under PREFIX (DESTDIR and LIBDIR are honoured)'
	@echo 'make uninstall  removes what make install put there (same PREFIX, DESTDIR)'
	@echo 'make test-gpu   tests on a machine with an NVIDIA GPU; GPU="--only storm" runs one part'
	@echo 'make dist       the tarball of a release, built and tested in a folder of its own'
	@echo 'make clean      removes what was built; make distclean offers to remove the downloads too'
	@echo 'make bench-gpu  benchmarks on a machine with an NVIDIA GPU'

build:
	@scripts/setup.sh build
	@scripts/build.sh '$(BUILD)'

demo:
	@scripts/demo.sh '$(BUILD)'

test:
	@GPUMEM_VM='$(VM)' scripts/test.sh '$(BUILD)'

unit:
	@scripts/test.sh '$(BUILD)' unit

vm:
	@scripts/vm.sh '$(BUILD)' $(VM)

test-dma:
	@tests/vm/kernel-fetch.sh list >/dev/null
	@scripts/setup.sh build vm
	@scripts/build.sh '$(BUILD)'
	@tests/vm/vm.py --build '$(BUILD)' --test bulk-fpga-dma --test iommu-bulk-fpga-dma \
		--append FPGA_TOTAL=1G --case-timeout 7200 --verbose $(VM)

test-fresh:
	@scripts/setup.sh fresh
	@tests/fresh/fresh.py $(FRESH)

test-busy:
	@scripts/test-busy.sh '$(BUILD)'

test-driver:
	@scripts/test-driver.sh '$(BUILD)' $(DRIVER)

test-hybrid:
	@scripts/test-driver.sh '$(BUILD)' --hybrid $(HYBRID)

test-debug:
	@scripts/test-debug.sh '$(BUILD)'

test-sanitize:
	@scripts/test-sanitize.sh

test-arm64:
	@scripts/test-arm64.sh

fuzz:
	@scripts/fuzz.sh $(FUZZ)

fuzz-kernel:
	@scripts/fuzz-kernel.sh '$(BUILD)'

mutants:
	@scripts/setup.sh build test
	@nice -n 19 scripts/mutants.py --seed '$(or $(MUTANTS_SEED),1)' $(MUTANTS)

check:
	@scripts/check.sh

check-nvidia:
	@scripts/setup.sh vm check kernel
	@scripts/check-nvidia.sh $(NVIDIA)

format:
	@scripts/check.sh format-write

module:
	@scripts/module.sh '$(KDIR)' '$(NVIDIA_SRC)'

install uninstall: export BUILD := $(BUILD)
install uninstall: export PREFIX := $(PREFIX)
install uninstall: export GPUMEM_PWD := $(PWD)
install uninstall:
	@scripts/install.sh $@

install-module uninstall-module: export GPUMEM_PWD := $(PWD)
install-module:
	@scripts/install-module.sh

uninstall-module:
	@scripts/install-module.sh uninstall

test-gpu:
	@tests/gpu/run.sh $(GPU)

bench-gpu:
	@bench/run.sh

dist:
	@scripts/dist.sh '$(BUILD)'

clean:
	rm -rf build-gpu build-check build-sanitize build-fresh build-mutants
	@[ ! -f build/module/made-by-module.sh ] || { echo 'rm -rf build/module'; rm -rf build/module; }
	@info='$(BUILD)/meson-info/intro-projectinfo.json'; \
	if [ -f "$$info" ] && ! grep -q '"descriptive_name": "gpumem"' "$$info"; then \
		echo 'clean: $(BUILD) is the build folder of another project' >&2; exit 1; \
	elif [ -d '$(BUILD)/meson-private' ]; then \
		echo 'rm -rf $(BUILD)'; rm -rf '$(BUILD)'; \
	fi
	@rmdir build 2>/dev/null || true

distclean: clean
	@scripts/distclean.sh $(CACHE)
