#!/usr/bin/env bash
# Boots a kernel again and again under load and stops at the first that does not end well. Not part of every run.
# usage: tests/stress-boots.sh [BOOTS [COMMANDS]]     (default: 50 boots; UEFI=1 boots from UEFI)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

boots=${1:-50}
commands=${2:-stress 2; skynet 10000; spawn 2000; pingpong 2000}
source tests/lib/setup.sh
need_rust
need_qemu ${UEFI:+ovmf}
source tests/lib/build.sh
build_boot
build_kernel

log=$(mktemp)
trap 'rm -f "$log"' EXIT
for ((i = 1; i <= boots; i++)); do
    begun=$EPOCHREALTIME
    if ! "$boot" --kernel "$kernel" --smp "${SMP:-4}" ${UEFI:+--uefi} --timeout 60 --run "$commands" >"$log" 2>&1; then
        cat "$log"
        echo "boot $i of $boots failed"
        exit 1
    fi
    printf 'boot %d of %d: ok, %d ms\n' "$i" "$boots" $(((${EPOCHREALTIME/./} - ${begun/./}) / 1000))
done
echo "$boots boots, no hang"
