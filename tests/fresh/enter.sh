#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs a command inside the root folder of a system, with mounts and processes of
# its own, which end with it: enter.sh ROOT USER FOLDER COMMAND...
# GPUMEM_FRESH_OFFLINE=1 leaves it without a network.
set -eu

if [ -z "${GPUMEM_FRESH_INSIDE:-}" ]; then
	net=
	[ -z "${GPUMEM_FRESH_OFFLINE:-}" ] || net=--net
	# shellcheck disable=SC2086 # a word or none
	GPUMEM_FRESH_INSIDE=1 exec unshare --mount --pid --fork --kill-child $net \
		--propagation private "$0" "$@"
fi

root=$1 user=$2 folder=$3
shift 3
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s /proc/self/fd/0 "$root/dev/stdin"
ln -s /proc/self/fd/1 "$root/dev/stdout"
ln -s /proc/self/fd/2 "$root/dev/stderr"
for node in null:3 zero:5 full:7 random:8 urandom:9; do
	mknod -m 666 "$root/dev/${node%:*}" c 1 "${node#*:}"
done
mknod -m 666 "$root/dev/tty" c 5 0

home=/home/$user path=/usr/local/bin:/usr/bin:/bin
if [ "$user" = root ]; then
	home=/root path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
fi
proxies=
for name in http_proxy https_proxy no_proxy; do
	eval "value=\${$name:-}"
	[ -z "$value" ] || proxies="$proxies $name=$value"
done
# shellcheck disable=SC2086 # words
exec chroot "$root" setpriv --reuid "$user" --regid "$user" --init-groups \
	env -i HOME="$home" USER="$user" LOGNAME="$user" PATH="$path" TERM=xterm LANG=C.UTF-8 \
	$proxies sh -c 'cd "$1" && shift && exec "$@"' sh "$folder" "$@"
