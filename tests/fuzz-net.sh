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
source tests/lib/seeds.sh
build_seeded -p net --example frames -p http --example streams || exit
programs=$target/debug/examples

runs() { # PROGRAM COUNT
    seq "$first" $((first + (mutants + each - 1) / each - 1)) |
        xargs -P "$(nproc)" -I{} bash -c 'one {} 300 "$0" "$1" || exit 255' "$programs/$1" "$2"
}
if runs frames "$each" && runs streams $((each / 10)); then
    tail -qn1 "$logs/frames-$first" "$logs/streams-$first"
    echo "$mutants mutants of frames, $((mutants / 10)) of streams, $cpus CPUs: no failure"
else
    exit 1
fi
