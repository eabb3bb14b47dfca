#!/usr/bin/env bash
# Boots a kernel whose scheduler takes the choices it is free to take from a seed, and whose CPUs stand still now and then in the middle of a protocol;
# runs every scenario on it. What tests/fuzz.sh cannot see: interrupts, and a timer that a wait uses up.
#
#   tests/fuzz-kernel.sh [BOOTS] [FIRST]     so many boots (default 3), with the seeds from FIRST on (default 1), on 2 CPUs, half a minute each
#   CPUS=4 tests/fuzz-kernel.sh ...          on so many
#   COMMANDS="stress 60" ...                 these, and not the scenarios
#
# A seed does not repeat a run (CPUs run as the host lets them), but one that failed fails again sooner or later.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
source tests/lib/setup.sh
source tests/lib/build.sh
boots=${1:-3}
first=${2:-1}
cpus=${CPUS:-2}
# The one that was seen to fail only here comes more often.
commands=${COMMANDS-scenario all$(printf '; scenario who_waits_behind_a_hog%.0s' {1..8})}
need_rust
need_qemu
build_boot || exit
cargo_options=(--config unstable.profile-rustflags=true)
for package in executive-core shell; do # who has such code; all that these do not need is as in the kernel
    cargo_options+=(--config "profile.release.package.$package.rustflags=['--cfg', 'fuzz']")
done
build_kernel || exit
mv "$kernel" "$target/fuzzed" && kernel=$target/fuzzed # so that nobody takes it for the kernel

said=$target/test-logs/fuzz-kernel.console
mkdir -p "${said%/*}"
for ((seed = first; seed < first + boots; seed++)); do
    line="seed $seed; $commands"
    if ! "$boot" --kernel "$kernel" --smp "$cpus" --timeout 240 --run "$line" >"$said" 2>&1; then
        echo "FAILED seed $seed (all that it said is in $said):"
        # What a crash begins with, and what it ends with.
        grep -anE -m1 -A 60 'fatal error|panicked|panic:' "$said"
        echo ...
        tail -n 40 "$said"
        echo "again: $boot --kernel $kernel --smp $cpus --run '$line'"
        exit 1
    fi
done
echo "$boots boots with seeds from $first on, $cpus CPUs: no failure"
