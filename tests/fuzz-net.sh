#!/usr/bin/env bash
# Damages frames (kernel/net/examples/frames.rs) and HTTP streams (kernel/http/examples/streams.rs) under many seeds. A seed
# that fails is printed, and makes the same run again.
#
#   tests/fuzz-net.sh [MUTANTS] [FIRST]     so many frames, and a tenth as many streams (default 100000), with the seeds from
#                                           FIRST on (default 1), on one CPU with a clock of the seed's
#   CPUS=3 tests/fuzz-net.sh ...            on so many CPUs: the seed does not repeat a run then
#
# Some 20000 frames a second and processor.
set -uo pipefail
cd "$(dirname "$0")/.."
mutants=${1:-100000}
first=${2:-1}
each=$((mutants < 100000 ? mutants : 100000))
cpus=${CPUS:-1}
target=${CARGO_TARGET_DIR:-target}/fuzz
[[ $target == /* ]] || target=$PWD/$target

RUSTFLAGS="-Cforce-frame-pointers=yes --cfg fuzz -Awarnings ${RUSTFLAGS-}" cargo build -q --target-dir "$target" \
    -p net --example frames -p http --example streams || exit
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
export programs=$target/debug/examples logs EXECUTIVE_CPUS=$cpus

one() { # SEED COUNT PROGRAM
    EXECUTIVE_SEED=$1 timeout 300 "$programs/$3" "$2" >"$logs/$3-$1" 2>&1
    local status=$?
    if ((status != 0)); then
        echo "FAILED seed $1 (status $status; 124: it has hung):"
        head -c 4000 "$logs/$3-$1"
        echo "again: EXECUTIVE_SEED=$1 EXECUTIVE_CPUS=$EXECUTIVE_CPUS $programs/$3 $2"
        return 1
    fi
}
export -f one

runs() { # PROGRAM COUNT
    seq "$first" $((first + (mutants + each - 1) / each - 1)) |
        xargs -P "$(nproc)" -I{} bash -c "one {} $2 $1 || exit 255"
}
if runs frames "$each" && runs streams $((each / 10)); then
    tail -qn1 "$logs/frames-$first" "$logs/streams-$first"
    echo "$mutants mutants of frames, $((mutants / 10)) of streams, $cpus CPUs: no failure"
else
    exit 1
fi
