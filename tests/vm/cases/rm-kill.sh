# SPDX-License-Identifier: MIT
# kill -9 with mappings through the rm backend, as root and as a user.
. /cases/lib.sh
vm-lib-rm kill
as_user vm-lib-rm kill
