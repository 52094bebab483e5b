# SPDX-License-Identifier: MIT
# The library under a seccomp filter, as root, as a user and in namespaces.
. /cases/lib.sh
for backend in rm kmod; do
	for after in open cuda; do
		echo "backend $backend, filtered after $after"
		vm-sandbox --backend $backend --after $after || {
			vm-sandbox --backend $backend --after $after --learn
			exit 1
		}
		as_user vm-sandbox --backend $backend --after $after || exit 1
		as_user unshare -U -r vm-sandbox --backend $backend \
			--after $after || exit 1
		unshare -U -r -m -p -f vm-sandbox --backend $backend \
			--after $after || exit 1
	done
done
# What each step costs in system calls.
vm-sandbox --backend rm --count
