// SPDX-License-Identifier: MIT
/*
 * Wrong handles, sizes, ranges and descriptors only: every pointer that a call
 * takes is good for more than it may take, and what might be given by mistake
 * is given back. A status starts as 0xee, so that 0 was written.
 */
#include <stddef.h>

#include "rm_steps.h"

/* Calls; the text that follows adds to "in". */
#define ALLOC(label, size) \
	"call " label " ctl 0x2b " #size " in 24:4=0 28:4=0xee "
#define CONTROL(label, fd) "call " label " " fd " 0x2a 32 in 28:4=0xee "
#define DUP(label) "call " label " ctl 0x34 28 in 24:4=0xee 0:4=$client "
#define DUP_OUT(name) " out 8:4=$" name " 24:4"
#define MAP(label, fd)                                            \
	"call " label " ctl 0x4e 56 in 40:4=0xee 48:4=fd:" fd " " \
	"0:4=$client 4:4=$device "
#define MAP_OUT(name) " out 32:8=$" name " 40:4"
#define UNMAP(label) \
	"call " label " ctl 0x4f 32 in 24:4=0xee 0:4=$client 4:4=$device "
#define UNMAP_OUT " out 24:4"
#define FREE(label) "call " label " ctl 0x29 16 in 12:4=0xee "
#define FREE_OUT " out 12:4"
#define REGISTER(label, fd, ctl) \
	"call " label " " fd " 201 4 in 0:4=" ctl " out 0:4?"
#define FD(name) "open " name " nvidia", REGISTER("register", name, "fd:ctl")

/* Control 0x205 on an object, with a told size of its parameters. */
#define ID_INFO(label, fd, client, object, size, id)                       \
	CONTROL(label, fd)                                                 \
	"0:4=" client " 4:4=" object " 8:4=0x205 24:4=" #size " out 28:4 " \
	"params 16 64 fill 0xa5 in 0:4=" id " out 4:4 8:4 12:4 16:4? "     \
	"20:4? 24:4? 28:4?"

#define DEVICE(label, root, parent, object, size, id)                     \
	ALLOC(label, 32)                                                  \
	"0:4=" root " 4:4=" parent " 8:4=" object " 12:4=0x80 24:4=" size \
	" out 8:4=$other 28:4 params 16 56 in 0:4=" id " 4:4=" root

/* Control 0x3d0c: a descriptor for memory objects. */
#define IMPORT(label, size, fd, parent, object, num, index, out)        \
	CONTROL(label, "ctl")                                           \
	"0:4=$client 4:4=$client 8:4=0x3d0c 24:4=" #size " out 28:4 "   \
	"params 16 664 in 0:4=" fd " 4:4=" parent " 8:4=" object        \
	" 648:2=" #num " 650:2=" #index " out 8:4=$" out " 520:1 648:2" \
	" 650:2"

#define FREE_DEVICE \
	FREE("free-device") "0:4=$client 4:4=$client 8:4=$other" FREE_OUT
#define FREE_OTHER \
	FREE("free-other") "0:4=$client 4:4=$device 8:4=$other" FREE_OUT

const char *const rm_steps[] = {
	"# The control node and the client",
	"open ctl nvidiactl",
	"call version ctl 210 72 in 0:4=0x32 out 4:4 8:64*",
	"call version-size ctl 210 76 in 0:4=0x32 out 4:4 8:64*",
	"call unknown-number ctl 0xfe 32",
	"call alloc-short ctl 0x2b 24 in 12:4=0x41 20:4=0xee out 8:4=$other "
	"20:4",
	"call alloc-odd ctl 0x2b 40 in 12:4=0x41 28:4=0xee out 8:4=$other 28:4",
	ALLOC("client", 32) "12:4=0x41 out 8:4=$client 28:4",
	ALLOC("no-such-class",
	      32) "0:4=$client 4:4=$client 12:4=0xfffe out 8:4=$other 28:4",
	ALLOC("no-such-client",
	      32) "0:4=0xc1dffffe 4:4=0xc1dffffe 12:4=0x80 out 8:4=$other 28:4",

	"# The cards and their numbers",
	"call cards ctl 200 2304 fill 0xa5 out 0:1 1:3? 4:4? 8:1? 9:1? 10:1 "
	"11:1? 12:2* 14:2* 16:4=$gpu_id 20:2? 22:2? 24:8* 32:8* 40:8* 48:8* "
	"56:4=$minor 60:10? 70:2? 72:2232?",
	"call cards-short ctl 200 71 fill 0xa5",
	ID_INFO("id-info", "ctl", "$client", "$client", 32, "$gpu_id"),
	"call id-info-again ctl 0x2a 32 in 0:4=$client 4:4=$client 8:4=0x205 "
	"24:4=32 28:4=0xee out 28:4 params 16 64 in 0:4=$gpu_id 4:4=0xee "
	"8:4=0xee 28:4=0 out 4:4 8:4=$instance 12:4? 16:4? 20:4? 24:4? 28:4?",
	ID_INFO("id-info-short", "ctl", "$client", "$client", 31, "$gpu_id"),
	ID_INFO("id-info-long", "ctl", "$client", "$client", 33, "$gpu_id"),
	ID_INFO("id-info-none", "ctl", "$client", "$client", 0, "$gpu_id"),
	ID_INFO("id-info-gpu", "ctl", "$client", "$client", 32, "0xfffffff0"),
	ID_INFO("id-info-object", "ctl", "$client", "0x1234", 32, "$gpu_id"),
	ID_INFO("id-info-client", "ctl", "0xc1dffffe", "0xc1dffffe", 32,
		"$gpu_id"),
	CONTROL("unknown-control",
		"ctl") "0:4=$client 4:4=$client 8:4=0x2fe 24:4=32 out 28:4 params 16 64",

	"# Another descriptor, another process",
	"open ctl2 nvidiactl",
	ID_INFO("other-ctl", "ctl2", "$client", "$client", 32, "$gpu_id"),
	"child child-control ctl 0x2a 32 in 0:4=$client 4:4=$client "
	"8:4=0x205 24:4=32 28:4=0xee out 28:4 params 16 64 fill 0xa5 "
	"in 0:4=$gpu_id out 4:4? 8:4? 12:4? 16:4? 20:4? 24:4? 28:4?",
	"child child-client ctl 0x2b 32 in 12:4=0x41 28:4=0xee "
	"out 8:4=$other 28:4",
	"child child-free ctl 0x29 16 in 0:4=$other 8:4=$other 12:4=0xee "
	"out 12:4",

	"# The GPU's node",
	"open gpu nvidia",
	REGISTER("register-none", "gpu", "-1"),
	REGISTER("register-itself", "gpu", "fd:gpu"),
	REGISTER("register-ctl", "ctl2", "fd:ctl"),
	"call register-size gpu 201 8 in 0:4=fd:ctl",
	REGISTER("register", "gpu", "fd:ctl"),
	REGISTER("register-twice", "gpu", "fd:ctl"),
	ID_INFO("by-the-gpu-node", "gpu", "$client", "$client", 32, "$gpu_id"),
	"close ctl2",

	"# The device",
	DEVICE("device-size", "$client", "$client", "0", "48", "$instance"),
	FREE_DEVICE,
	DEVICE("device-number", "$client", "$client", "0", "56", "31"),
	FREE_DEVICE,
	DEVICE("device-parent", "$client", "0x1234", "0", "56", "$instance"),
	FREE_DEVICE,
	ALLOC("device",
	      32) "0:4=$client 4:4=$client 12:4=0x80 24:4=56 out 8:4=$device 28:4 "
		  "params 16 56 in 0:4=$instance 4:4=$client",
	DEVICE("device-taken", "$client", "$client", "$device", "56",
	       "$instance"),
	ALLOC("device-untold-size",
	      32) "0:4=$client 4:4=$client 12:4=0x80 24:4=0 out 8:4=$second 28:4 "
		  "params 16 56 in 0:4=$instance 4:4=$client",
	FREE("free-second") "0:4=$client 4:4=$client 8:4=$second" FREE_OUT,

	"# A duplicate of cuMemAlloc() memory",
	"cuda-alloc one 4194304",
	"cuda-fill one 0x5a 4194304",
	DUP("dup-client-source") "4:4=$device 12:4=0xc1dffffe 16:4=$one_object" DUP_OUT(
		"other"),
	DUP("dup-object-source") "4:4=$device 12:4=$one_client 16:4=0x1234" DUP_OUT(
		"other"),
	DUP("dup-parent") "4:4=0x1234 12:4=$one_client 16:4=$one_object" DUP_OUT(
		"other"),
	FREE_OTHER,
	DUP("dup-parent-client") "4:4=$client 12:4=$one_client 16:4=$one_object" DUP_OUT(
		"other"),
	FREE_OTHER,
	"call dup-client ctl 0x34 28 in 24:4=0xee 0:4=0xc1dffffe 4:4=$device "
	"12:4=$one_client 16:4=$one_object" DUP_OUT("other"),
	DUP("dup-taken") "4:4=$device 8:4=$device 12:4=$one_client 16:4=$one_object" DUP_OUT(
		"other"),
	"child child-dup ctl 0x34 28 in 24:4=0xee 0:4=$client 4:4=$device "
	"12:4=$one_client 16:4=$one_object" DUP_OUT("other"),
	FREE_OTHER,
	DUP("dup") "4:4=$device 12:4=$one_client 16:4=$one_object" DUP_OUT(
		"memory"),

	"# Mappings that are refused",
	"open raw nvidia",
	MAP("map-unregistered",
	    "raw") "8:4=$memory 16:8=$one_offset 24:8=65536" MAP_OUT("line"),
	"close raw",
	FD("map0"),
	MAP("map-no-descriptor",
	    "ctl") "8:4=$memory 16:8=$one_offset 24:8=65536 48:4=-1" MAP_OUT("line"),
	MAP("map-ctl",
	    "ctl") "8:4=$memory 16:8=$one_offset 24:8=65536" MAP_OUT("line"),
	MAP("map-past-end",
	    "map0") "8:4=$memory 16:8=$one_block 24:8=4096" MAP_OUT("line"),
	MAP("map-over-end",
	    "map0") "8:4=$memory 16:8=0 24:8=$one_block+4096" MAP_OUT("line"),
	MAP("map-nothing", "map0") "8:4=$memory 16:8=0 24:8=0" MAP_OUT("line"),
	MAP("map-memory",
	    "map0") "8:4=0x1234 16:8=0 24:8=65536" MAP_OUT("line"),
	MAP("map-device",
	    "map0") "4:4=0x1234 8:4=$memory 16:8=0 24:8=65536" MAP_OUT("line"),
	MAP("map-client",
	    "map0") "0:4=0xc1dffffe 8:4=$memory 16:8=0 24:8=65536" MAP_OUT("line"),
	MAP("map-not-memory",
	    "map0") "8:4=$device 16:8=0 24:8=65536" MAP_OUT("line"),
	"mmap none map0 65536 0",
	"close map0",

	"# A mapping",
	FD("map1"),
	MAP("map",
	    "map1") "8:4=$memory 16:8=$one_offset 24:8=65536" MAP_OUT("line1"),
	MAP("map-again",
	    "map1") "8:4=$memory 16:8=$one_offset 24:8=65536" MAP_OUT("line"),
	"mmap long map1 131072 0",
	"mmap shifted map1 65536 65536",
	"mmap view map1 65536 0",
	"look view 0 0x5a",
	"mmap twice map1 65536 0",
	"munmap twice",
	"cuda-fill one 0xa6 4194304",
	"look view 4096 0xa6",
	"munmap view",
	UNMAP("unmap-line") "8:4=$memory 16:8=$line1+4096" UNMAP_OUT,
	UNMAP("unmap-memory") "8:4=0x1234 16:8=$line1" UNMAP_OUT,
	UNMAP("unmap") "8:4=$memory 16:8=$line1" UNMAP_OUT,
	UNMAP("unmap-twice") "8:4=$memory 16:8=$line1" UNMAP_OUT,
	MAP("map-used-descriptor",
	    "map1") "8:4=$memory 16:8=$one_offset 24:8=65536" MAP_OUT("line"),
	"close map1",

	"# A mapping that is not of whole pages, one that is read only",
	FD("map2"),
	MAP("map-bytes",
	    "map2") "8:4=$memory 16:8=$one_offset+512 24:8=100" MAP_OUT("line2"),
	"mmap bytes map2 4096 0",
	"munmap bytes",
	UNMAP("unmap-bytes") "8:4=$memory 16:8=$line2" UNMAP_OUT,
	"close map2",
	FD("map3"),
	MAP("map-read-only",
	    "map3") "8:4=$memory 16:8=$one_offset 24:8=65536 44:4=1" MAP_OUT("line3"),
	"mmap read-only map3 65536 0",
	"munmap read-only",
	UNMAP("unmap-read-only") "8:4=$memory 16:8=$line3" UNMAP_OUT,
	"close map3",

	"# Two mappings of the same bytes; the memory goes before its mapping",
	FD("map4"),
	FD("map5"),
	MAP("map-first",
	    "map4") "8:4=$memory 16:8=$one_offset 24:8=65536" MAP_OUT("line4"),
	MAP("map-second",
	    "map5") "8:4=$memory 16:8=$one_offset 24:8=65536" MAP_OUT("line5"),
	UNMAP("unmap-first") "8:4=$memory 16:8=$line4" UNMAP_OUT,
	FREE("free-mapped") "0:4=$client 4:4=$device 8:4=$memory" FREE_OUT,
	UNMAP("unmap-freed") "8:4=$memory 16:8=$line5" UNMAP_OUT,
	FREE("free-twice") "0:4=$client 4:4=$device 8:4=$memory" FREE_OUT,
	"close map4",
	"close map5",

	"# CUDA frees the memory first",
	DUP("dup-kept") "4:4=$device 12:4=$one_client 16:4=$one_object" DUP_OUT(
		"kept"),
	"cuda-free one",
	FD("map6"),
	MAP("map-kept",
	    "map6") "8:4=$kept 16:8=$one_offset 24:8=65536" MAP_OUT("line6"),
	"mmap kept map6 65536 0",
	"look kept 0 0xa6",
	"munmap kept",
	UNMAP("unmap-kept") "8:4=$kept 16:8=$line6" UNMAP_OUT,
	FREE("free-parent") "0:4=$client 4:4=0x1234 8:4=$kept" FREE_OUT,
	FREE("free-kept") "0:4=$client 4:4=$device 8:4=$kept" FREE_OUT,
	"close map6",

	"# cuMemCreate() memory by its descriptor",
	"cuda-vmm two 4194304",
	IMPORT("import-size", 651, "fd:two", "$device", "0", 1, 0, "other"),
	IMPORT("import-long", 660, "fd:two", "$device", "0", 1, 0, "other"),
	IMPORT("import-none", 652, "-1", "$device", "0", 1, 0, "other"),
	IMPORT("import-other-file", 652, "fd:gpu", "$device", "0", 1, 0,
	       "other"),
	IMPORT("import-parent", 652, "fd:two", "0x1234", "0", 1, 0, "other"),
	FREE_OTHER,
	IMPORT("import-zero", 652, "fd:two", "$device", "0", 0, 0, "other"),
	IMPORT("import-two", 652, "fd:two", "$device", "0", 2, 0, "other"),
	FREE_OTHER,
	IMPORT("import-index", 652, "fd:two", "$device", "0", 1, 1, "other"),
	FREE_OTHER,
	IMPORT("import-taken", 652, "fd:two", "$device", "$device", 1, 0,
	       "other"),
	IMPORT("import", 652, "fd:two", "$device", "0", 1, 0, "vmm"),
	IMPORT("import-again", 652, "fd:two", "$device", "0", 1, 0, "other"),
	FREE_OTHER,
	IMPORT("import-wanted", 652, "fd:two", "$device", "0xbeef0001", 1, 0,
	       "other"),
	FREE_OTHER,
	"close two",
	"cuda-free two",
	FD("map7"),
	MAP("map-vmm", "map7") "8:4=$vmm 16:8=0 24:8=4194304" MAP_OUT("line7"),
	MAP("map-vmm-over-end",
	    "map7") "8:4=$vmm 16:8=4194304 24:8=65536" MAP_OUT("line"),
	"mmap vmm map7 4194304 0",
	"munmap vmm",
	UNMAP("unmap-vmm") "8:4=$vmm 16:8=$line7" UNMAP_OUT,
	"close map7",

	"# A dma-buf of it, for the record: its outcome is the machine's",
	"note call dmabuf gpu 217 2608 in 0:4=-1 4:4=$client 8:4=1 12:4=1 "
	"24:8=65536 36:4=$vmm 552:8=0 1576:8=65536 2600:4=0xee "
	"out 0:4=$dmabuf 2600:4",
	"close $dmabuf",
	FREE("free-vmm") "0:4=$client 4:4=$device 8:4=$vmm" FREE_OUT,

	"# The end",
	FREE("free-unknown") "0:4=$client 4:4=$device 8:4=0x1234" FREE_OUT,
	FREE("free-no-client") "0:4=0xc1dffffe 8:4=0xc1dffffe" FREE_OUT,
	FREE("free-parent-of-all") "0:4=$client 4:4=$client 8:4=$device" FREE_OUT,
	FREE("free-client") "0:4=$client 8:4=$client" FREE_OUT,
	FREE("free-client-twice") "0:4=$client 8:4=$client" FREE_OUT,
	ID_INFO("after-free", "ctl", "$client", "$client", 32, "$gpu_id"),
	"close gpu",
	"close ctl",
	NULL,
};
