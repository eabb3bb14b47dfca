#!/usr/bin/env bash
# Which jumps does QEMU search for the slow way while a row of the benchmarks runs in it?
#
#   tests/bench/lookups.sh ROW
#
# QEMU chains translated blocks only within a page; for a return, an indirect jump and a jump to another page it asks a cache for the target, of 4096 places by address, 64 for
# each page. Two targets of one loop that share a place search a hash table each time: 40 ns, in which nothing of ours happens. Which do so changes with every build.
#
# A debugger on QEMU counts the targets that are searched for, here for some seconds: dozens are other things, thousands are the loop's. Linux, gdb, the right to attach to one's own processes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
[[ $# -eq 1 ]] || { sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2; }
command -v gdb >/dev/null || { echo "lookups.sh: no gdb: apt-get install gdb" >&2; exit 3; }

dir=$(mktemp -d)
trap '[[ -s $dir/pid ]] && kill "$(<"$dir/pid")" 2>/dev/null; wait; rm -rf "$dir"' EXIT
printf -v rows "bench $1; %.0s" {1..100}
./qemu-run.sh --smp 1 --mem 2G --timeout 120 --run "$rows" -- -pidfile "$dir/pid" >"$dir/out" 2>&1 &
until grep -q "^$1," "$dir/out"; do
    kill -0 $! 2>/dev/null || { cat "$dir/out" >&2; exit 1; }
done

# The search's second argument is what is compared; it begins with the target.
timeout --signal=INT 5 gdb -q -batch -p "$(<"$dir/pid")" -ex 'set pagination off' -ex 'break qht_lookup_custom' \
    -ex 'python gdb.breakpoints()[0].silent = True' -ex 'python gdb.breakpoints()[0].commands = "x/gx $rsi\ncontinue"' -ex continue >"$dir/found" 2>"$dir/log" || true
grep -q 0x "$dir/found" || { cat "$dir/log" >&2; exit 1; }

source tests/lib/build.sh
build_kernel
sed -n 's/^0x.*:\s*0xffffffff\(8[0-9a-f]*\)$/\1/p' "$dir/found" | sort | uniq -c | sort -rn | head -12 | while read -r times target; do
    printf '%7d  %s  %s\n' "$times" "$target" "$(addr2line -fsCe "$kernel" $(printf '%x' $((0x$target - 0x80000000))) | paste -sd' ')"
done
