# SPDX-License-Identifier: MIT
# Every kind of pointer through every backend: what is refused, and with which
# message, is what tests/data/pointers has.
. /cases/lib.sh
allowed=/sys/module/gpumem_emu/parameters/dmabuf_mmap
before=$(cat $allowed)
trap 'echo "$before" >$allowed' EXIT
echo 1 >$allowed
bad=0
for backend in kmod rm dmabuf sim; do
	vm-pointer-kinds --backend $backend >/tmp/kinds.out || bad=1
	grep -v "^#" /tmp/kinds.out >/tmp/kinds || bad=1
	want=/data/pointers/emulated-$backend.txt
	grep -v '^#' $want >/tmp/want || bad=1
	if ! cmp -s /tmp/want /tmp/kinds; then
		echo "through $backend it is otherwise than $want has it:"
		cat /tmp/kinds
		bad=1
	fi
done
exit $bad
