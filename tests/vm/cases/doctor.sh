# SPDX-License-Identifier: MIT
# gpumem doctor on the emulated GPU: says that it is one, through every backend,
# as root and as a user; finds the module, and what becomes of it.
. /cases/lib.sh
/usr/bin/gpumem --version >/dev/null

# doctor CODE ARGUMENTS...: runs it by RUN, expects the exit code.
doctor()
{
	doctor_code=$1
	shift
	fails $doctor_code $RUN gpumem doctor "$@" >/tmp/doctor.out 2>&1 ||
		{ cat /tmp/doctor.out; return 1; }
}

combining=SIMULATED
[ "$(uname -m)" = x86_64 ] || combining='only known how on x86-64'
RUN=
for RUN in "" as_user; do
	for backend in kmod rm; do
		doctor 0 --backend $backend
		doctor_row ok gpu EMULATED
		doctor_row ok backend "$backend"
		doctor_row ok nvidiactl "can be opened"
		doctor_row ok kernel-module "through /dev/gpumem"
		doctor_row note write-combining "$combining"
		doctor_row ok bar1 "SIMULATED"
		doctor_row ok container "not in one"
		doctor_row ok wsl2 no
		doctor_row note driver .
		if grep -E "^(warn|fail)" /tmp/doctor.out; then exit 1; fi
	done
done
cat /tmp/doctor.out

RUN=
doctor 0
doctor_row ok backend kmod
doctor 0 --json
if ! grep -q "without JSON" /tmp/doctor.out; then
	grep -q '"simulated":true' /tmp/doctor.out
	grep -q '"exit_status":0' /tmp/doctor.out
fi

# The node is there, but not for this user.
chmod 0600 /dev/gpumem
trap "chmod 0666 /dev/gpumem" EXIT
RUN=as_user
doctor 0
doctor_row ok backend rm
doctor_row note kernel-module "chmod 0660 /dev/gpumem"
chmod 0666 /dev/gpumem
trap - EXIT

# Without the module.
RUN=
rmmod gpumem
trap "insmod /lib/modules/gpumem.ko; chmod 0666 /dev/gpumem" EXIT
doctor 0
doctor_row ok backend rm
doctor_row note kernel-module "make install-module"
doctor 3 --backend kmod
doctor_row fail backend "make install-module"
