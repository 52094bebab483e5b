# SPDX-License-Identifier: MIT
# timeout: 300
# Random copies in every way over backend kmod, the courier included, and random
# sequences of alloc, pin, write, verify, unpin and free. Every byte is compared.
. /cases/lib.sh
GPUMEM_COURIER=1 vm-copies --backend kmod --count 2000 --threads 2 --seed 1
as_user env GPUMEM_COURIER=1 vm-copies --backend kmod --count 500 --threads 2 --seed 2
vm-gpu-storm --backend kmod --count 200 --threads 2 --max 1048576 --seed 1
