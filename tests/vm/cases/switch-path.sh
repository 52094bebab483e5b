# SPDX-License-Identifier: MIT
# No IOMMU: a switch hands over; a board elsewhere goes through the host bridge; ports
# that redirect are named and refused, others are not.
# shellcheck disable=SC2034,SC2154 # of switch_find and drive
. /cases/lib.sh
switch_find
trap acs_end EXIT
drive 64 vm-dma-path switch "$board" "$up"
drive 64 gpumem dma --peer "$board" >/tmp/dma.out
grep "^path     through the switch below $up$" /tmp/dma.out
# Source Validation, Translation Blocking, Upstream Forwarding: no redirection.
acs "$board_port" 13
acs "$gpu_port" 13
drive 64 vm-dma-path switch "$board" "$up"
acs_end
# Requests are redirected, or held back.
for control in 4 1d 20; do
	acs "$board_port" $control
	drive 64 vm-dma-path blocked "$board" "$board_port"
	dmesg | grep -q "$board: gpumem: the GPU $gpu is out of reach: $board_port redirects"
	acs_end
done
# Answers: the GPU's port decides, and requests are not the GPU's.
acs "$gpu_port" 8
drive 64 vm-dma-path blocked "$board" "$gpu_port"
acs_end
acs "$gpu_port" 24
acs "$board_port" 8
drive 64 vm-dma-path switch "$board" "$up"
acs_end
# Doctor sees it, in the configuration space.
acs "$board_port" 1d
gpumem doctor --backend kmod >/tmp/doctor.out || [ $? = 1 ]
doctor_row warn pci-peers "1 device below $up .*$board.*port $board_port redirects"
acs_end
gpumem doctor --backend kmod >/tmp/doctor.out || [ $? = 1 ]
doctor_row ok pci-peers "$board.*; no port redirects"
# The way out that the text names: setpci writes the control register.
acs "$board_port" 1d
printf '\021\0' | dd of="/sys/bus/pci/devices/$board_port/config" bs=1 seek=518 2>/dev/null
drive 64 vm-dma-path switch "$board" "$up"
acs_end
# A port that sleeps answers with ones: what it will do is unknown.
acs "$board_port" ffff
drive 64 vm-dma-path unknown "$board"
# What a board elsewhere sends comes by the host bridge whatever the ports do.
importer_options=
acs_end
acs "$gpu_port" 1d
drive 64 vm-dma-path host "$(board_address)"
