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
source tests/lib/seeds.sh
build_seeded -p hosted --example fuzz || exit
program=$target/debug/examples/fuzz
export program SCENARIO=${SCENARIO-}

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

if seq "$first" $((first + seeds - 1)) | xargs -P "$(nproc)" -I{} bash -c 'one {} 60 "$program" $SCENARIO || exit 255'; then
    echo "$seeds seeds from $first on, $cpus CPUs: no failure"
else
    exit 1
fi
