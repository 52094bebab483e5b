# SPDX-License-Identifier: MIT
# gpumem demo, to be looked at. Its arguments come from the kernel command line:
# gpumem.args=--size,1M or gpumem.args="--size 1M".
read -r line </proc/cmdline
args=
case $line in
*gpumem.args=\"*) args=${line#*gpumem.args=\"} args=${args%%\"*} ;;
*\"gpumem.args=*) args=${line#*\"gpumem.args=} args=${args%%\"*} ;;
*gpumem.args=*) args=${line#*gpumem.args=} args=${args%% *} ;;
esac
# shellcheck disable=SC2046 # arguments, to be split
gpumem demo $(echo "$args" | tr , ' ')
