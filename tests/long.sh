#!/usr/bin/env bash
# What takes too long for tests/run.sh, by hand: the same claims, a hundred times as often.
#
#   tests/long.sh                all of it (some 40 minutes)
#   tests/long.sh registers      those with this word in their names
#   TIMES=1000 tests/long.sh     so many preemptions, and so on (default 100000)
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
source tests/lib/setup.sh
source tests/lib/build.sh
need_rust
need_qemu
build_boot && build_kernel || exit
times=${TIMES:-100000}
failed=0 asked=0

# asks NAME WORDS BOOT'S-ARGUMENTS...: does the machine say these words, and end with status 0?
asks() {
    local name=$1 words=$2 said status=0
    shift 2
    [[ $name == *"$wanted"* ]] || return 0
    asked=$((asked + 1))
    said=$("$boot" --kernel "$kernel" --timeout 3600 "$@" 2>&1) || status=$?
    if ((status == 0)) && grep -qF "$words" <<<"$said"; then
        echo "ok     $name: $(grep -F "$words" <<<"$said" | tail -n1 | tr -d '\r')"
    else
        echo "FAILED $name (status $status):"
        tail -n 30 <<<"$said"
        failed=$((failed + 1))
    fi
}

wanted=${1-}
for cpu in qemu64 Nehalem Haswell max; do
    asks "registers, $cpu" "every register and flag was kept" --smp 2 --run "registers $times 100" -- -cpu "$cpu" </dev/null
done

# A scenario of 10,000 isolated panics, ten times as many in all; and all that stress does, to the byte.
asks "panics" "recover::ten_thousand_panics" --smp 4 < <(yes "scenario recover::ten_thousand_panics" | head -n "$((times / 1000))")
# What goroutines do does not depend on whose turn it is. (Leases, in `addresses`, are wall time.)
scenarios="affinity:: cancel:: channels:: close:: futures:: goroutines:: interrupts:: panics:: points:: procs:: recover:: registers:: scope:: selects:: sync:: time::"
for policy in fifo priorities fair; do
    asks "policy $policy" "scenarios: all claims hold" --smp 2 --timeout 900 --run "policy $policy; scenario $scenarios" </dev/null
done
asks "stress" "no memory lost" --smp 4 --run "stress $((times * 6 / 1000))" </dev/null

# runs NAME COMMAND...: does it end with status 0, here?
runs() {
    local name=$1 said status=0
    shift
    [[ $name == *"$wanted"* ]] || return 0
    asked=$((asked + 1))
    said=$("$@" 2>&1) || status=$?
    if ((status == 0)); then
        echo "ok     $name: $(tail -n1 <<<"$said")"
    else
        echo "FAILED $name (status $status):"
        tail -n 30 <<<"$said"
        failed=$((failed + 1))
    fi
}

# The network: connections that leave nothing behind, over the wire in memory and from Linux's TCP; frames and streams.
runs "connections" cargo run -q -p net --example connections $((times * 10))
runs "net-peers" tests/net-peers $((times / 100)) $((times / 2))
runs "net-peers, the kernel" tests/net-peers --qemu 2 $((times / 100)) $((times / 2))
runs "net-peers, a soak" tests/net-peers --qemu 2 --soak $((times * 6 / 1000))
runs "fuzz-net" tests/fuzz-net.sh $((times * 100))

echo "$asked asked, $failed failed"
((asked > 0 && failed == 0))
