#!/bin/bash
# SPDX-License-Identifier: MIT
# Links NVIDIA's open driver of a Debian suite, for a kernel of the test VM, with
# tests/driver/rm_shim.c in the place of a dozen functions of its prebuilt resource
# manager (nv-kernel.o_binary), and prints the folder of the driver's source. The
# interface to the kernel, of which nv-p2p.c and nv-dma.c are parts, is NVIDIA's.
# FOLDER then has nvidia.ko and Module.symvers. Seconds, once nvidia-driver.sh has
# built the driver.
# usage: nvidia-hybrid.sh SUITE KERNEL FOLDER
set -uo pipefail

cd "$(dirname "$0")/.." || exit 1
. scripts/common.sh
[ $# = 3 ] || {
	sed -n '/^# usage/,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
	exit 2
}
suite=$1 kernel=$2
mkdir -p "$3" || exit 1
out=$(readlink -f "$3")
cache=$(cache_dir)/nvidia

# The functions that rm_shim.c has; what else of RM calls them keeps its own.
replaced='rm_p2p_get_pages rm_p2p_register_callback rm_p2p_put_pages
rm_p2p_get_gpu_info rm_p2p_get_pages_persistent rm_p2p_put_pages_persistent
rm_p2p_dma_map_pages rm_init_adapter rm_disable_adapter rm_shutdown_adapter
rm_get_gpu_uuid_raw rm_set_external_kernel_client_count'

driver=$(scripts/nvidia-driver.sh "$suite" "$kernel") || exit 1
# Drivers were once kept without it.
[ -f "$driver/nvidia/nv-interface.o" ] ||
	driver=$(scripts/nvidia-driver.sh "$suite" "$kernel" "$cache/hybrid") || exit 1
folder=$(tests/vm/kernel-fetch.sh "$kernel") || exit 1

cp tests/driver/rm_shim.c tests/driver/rm_shim.h "$driver/nvidia/nv-interface.o" "$out/" ||
	exit 1
for name in $replaced; do
	echo "--redefine-sym $name=nvidia_$name"
done >"$out/renamed"
objcopy --strip-debug "@$out/renamed" "$cache/$suite/nvidia/nv-kernel.o_binary" \
	"$out/nv-kernel.o" || exit 1
# Kbuild has these notes of what it compiles: the versions of the symbols.
{
	echo
	awk '{print "#SYMVER", $2, $1}' "$driver/Module.symvers"
} >"$out/.nv-interface.o.cmd"
: >"$out/.nv-kernel.o.cmd"
# As the driver's own Kbuild has them.
cat >"$out/Kbuild" <<EOF
obj-m := nvidia.o
nvidia-y := rm_shim.o nv-interface.o nv-kernel.o
CFLAGS_rm_shim.o := -isystem $driver/common/inc -isystem $driver \\
	-DNVRM -DNDEBUG -DNVIDIA_UNDEF_LEGACY_BIT_MACROS -DNV_UVM_ENABLE \\
	-DNV_KERNEL_INTERFACE_LAYER -DNV_SPECTRE_V2=0 -DNV_FILESYSTEM_ACCESS_AVAILABLE=1 \\
	-DNV_VERSION_STRING=\\"$(cut -d - -f 1 "$driver/version")\\" \\
	-fno-strict-aliasing -ffreestanding
EOF
# What is NVIDIA's has warnings of its own.
if ! make -C "$folder/build" "M=$out" W=1 modules >"$out/log" 2>&1 ||
	grep -E 'rm_shim.*warning:|WARNING:.*rm_shim' "$out/log" >&2; then
	tail -20 "$out/log" >&2
	echo "nvidia-hybrid: it does not build, or not without warnings; its log is $out/log" >&2
	exit 1
fi
strip --strip-debug "$out/nvidia.ko" || exit 1
echo "$driver"
