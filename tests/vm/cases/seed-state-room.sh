# SPDX-License-Identifier: MIT
# STATE with too little room.
vm-seed-errors room
