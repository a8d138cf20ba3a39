#!/usr/bin/env bash
# Checks merge.pml to the end in each of its worlds, and then that each planted error is found.
set -euo pipefail
cd "${0%/*}"
model="$PWD/merge.pml"

missing=()
for package in spin gcc; do # each is the name of its command, too
	command -v "$package" >/dev/null || missing+=("$package")
done
if [ "${#missing[@]}" != 0 ]; then
	echo "make spin needs Debian's ${missing[*]}: apt install ${missing[*]}" >&2
	exit 1
fi

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
TIMEFORMAT=%U # of the processor

# check errors flags...: runs the model, and fails unless it has that many errors: 0, or 1 where one was planted.
check() {
	local want="$1"
	shift
	spin "$@" -a "$model" >spin.out || { cat spin.out >&2; exit 1; }
	gcc -O2 -w -DSAFETY -DCOLLAPSE -DNOREDUCE -DMEMLIM=4000 -o pan pan.c
	{ time ./pan -n -m1000000 >pan.out 2>&1 || true; } 2>seconds
	if ! grep -q "errors: $want\$" pan.out || grep -q 'max search depth too small\|memory limit' pan.out || { [ "$want" = 0 ] && grep -q 'not completed' pan.out; }; then
		cat pan.out >&2
		echo "${*:-DELIVERY}: expected errors: $want" >&2
		if [ "$want" = 0 ]; then
			spin "$@" -t -p -g "$model" | tail -60 >&2
		fi
		exit 1
	fi
	printf '%-41s errors: %s  %9s states  %6s MB  %3.0f s\n' "${*:-DELIVERY}" "$want" "$(awk '/states, stored/ {print $1}' pan.out)" \
		"$(awk '/total actual memory/ {printf "%d", $1}' pan.out)" "$(<seconds)"
}

check 0
check 0 -DFREE=5
check 0 -DFREE=4 -DZONES
check 0 -DFREE=3 -DZONES -DVERSIONS -DWAIVERS

for planted in FAST_LATE COUNT_TWICE NO_LOCK ANSWER_EARLY AWARD_ONCE; do
	check 1 "-D$planted"
done
check 1 -DFREE=3 -DFORGET_STALE
check 1 -DFREE=3 -DZONES -DTIE_ZONE
check 1 -DFREE=4 -DSTORE_LAPSED
