# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154 # step_log is common.sh's
# Shell functions of the scripts that run the unit tests once more, in a build of
# another kind; behind common.sh:
#	. scripts/suite.sh

passed=0 failed=0 skipped=0

# suite_fail LABEL WHY: a line for what is no test.
suite_fail()
{
	echo "not ok $1: $2"
	failed=$((failed + 1))
}

# suite_names FOLDER NAME...: the unit tests without these, a line each.
suite_names()
{
	meson introspect --tests "$1" | python3 -c '
import json, sys
for test in json.load(sys.stdin):
    suites = [suite.split(":")[-1] for suite in test["suite"]]
    if "unit" in suites and test["name"] not in sys.argv[1:]:
        print(test["name"])' "${@:2}"
}

# suite_run LABEL FOLDER LEFT [COMMAND...]: builds the unit tests in the folder and
# runs them, but for those in the file LEFT: lines "NAME: REASON", or "NAME" of a
# test that this kind of build is nothing to. Prints a line each and counts them.
# COMMAND, with its arguments, runs Meson.
suite_run()
{
	local label=$1 folder=$2 left=$3 tests names log=$2/suite.log line seen=0
	shift 3
	# What Meson tells of the tests is as old as its last run.
	ninja -C "$folder" build.ninja >/dev/null || true
	mapfile -t names < <(sed 's/:.*//' "$left")
	mapfile -t tests < <(suite_names "$folder" "${names[@]}")
	[ ${#tests[@]} -gt 0 ] || {
		suite_fail "$label" "$folder has no unit tests"
		return
	}
	step "$label: building and running ${#tests[@]} unit tests" \
		"$@" meson test -C "$folder" --print-errorlogs "${tests[@]}" || true
	cp "$step_log" "$log"
	while IFS= read -r line; do
		echo "$line"
		seen=$((seen + 1))
		case $line in
		ok*) passed=$((passed + 1)) ;;
		skip*) skipped=$((skipped + 1)) ;;
		*) failed=$((failed + 1)) ;;
		esac
	done < <(sed -nE -e '/^Summary of Failures/q' -e 's,^ *[0-9]+/[0-9]+ gpumem:unit / ,,' -e T \
		-e "s,^(.*[^ ]) +OK +([0-9.]+)s.*,ok     $label/\1 (\2 s),p" \
		-e "s,^(.*[^ ]) +SKIP .*,skip   $label/\1: it says so itself,p" \
		-e "s,^(.*[^ ]) +(FAIL|ERROR|TIMEOUT|INTERRUPT) .*,not ok $label/\1,p" "$log")
	[ $seen = ${#tests[@]} ] ||
		suite_fail "$label" "$seen of ${#tests[@]} tests came to an end"
	while IFS= read -r line; do
		echo "skip   $label/$line"
		skipped=$((skipped + 1))
	done < <(grep : "$left")
	if [ $failed != 0 ]; then
		tail -n 100 "$log"
		echo "       all of it: $log"
	fi
}

# suite_end: the last line, and the exit status.
suite_end()
{
	echo "$passed passed, $failed failed, $skipped skipped"
	[ $failed = 0 ] && [ $passed -gt 0 ]
}
