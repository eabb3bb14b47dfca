#!/usr/bin/env bash
# Runs the scenarios under many schedules, each made by a seed. A seed that fails is printed, and makes the same run again.
#
#   tests/fuzz.sh [SEEDS] [FIRST]     so many seeds (default 1000) from FIRST on (default 1), on one CPU with a clock of the seed's
#   CPUS=3 tests/fuzz.sh ...          on so many CPUs: the seed is one more source of disorder, and does not repeat a run
#   SCENARIO="close tree -stress" ... only these and not those (parts of names; kernel/hosted/examples/fuzz.rs)
#
# About 20 seeds a second and processor.
set -uo pipefail
cd "$(dirname "$0")/.."
seeds=${1:-1000}
first=${2:-1}
cpus=${CPUS:-1}
target=${CARGO_TARGET_DIR:-target}/fuzz
[[ $target == /* ]] || target=$PWD/$target

RUSTFLAGS="-Cforce-frame-pointers=yes --cfg fuzz -Awarnings ${RUSTFLAGS-}" cargo build -q --target-dir "$target" -p hosted --example fuzz || exit
program=$target/debug/examples/fuzz
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
export program logs EXECUTIVE_CPUS=$cpus SCENARIO=${SCENARIO-}

one() { # SEED
    # shellcheck disable=SC2086 # SCENARIO is a list
    EXECUTIVE_SEED=$1 timeout 60 "$program" $SCENARIO >"$logs/$1" 2>&1
    local status=$?
    if ((status != 0)); then
        echo "FAILED seed $1 (status $status):"
        head -c 4000 "$logs/$1"
        echo "again: EXECUTIVE_SEED=$1 EXECUTIVE_CPUS=$EXECUTIVE_CPUS $program $SCENARIO"
        return 1
    fi
    rm "$logs/$1"
}
export -f one

# A seed is a run, and another seed another. (A run that fails tells nothing of this; below it is reported.)
digest() { EXECUTIVE_SEED=$1 EXECUTIVE_DIGEST=1 timeout 60 "$program" $SCENARIO 2>&1 | grep '^digest'; }
if ((cpus == 1)); then
    a=$(digest "$first") b=$(digest "$first") c=$(digest $((first + 1)))
    if [[ $a != "$b" ]]; then
        echo "a seed does not repeat its run: $a, then $b"
        exit 1
    fi
    if [[ -n $a && $a == "$c" ]]; then
        echo "two seeds make the same run: $a"
        exit 1
    fi
fi

if seq "$first" $((first + seeds - 1)) | xargs -P "$(nproc)" -I{} bash -c 'one {} || exit 255'; then
    echo "$seeds seeds from $first on, $cpus CPUs: no failure"
else
    exit 1
fi
