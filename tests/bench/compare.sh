#!/bin/sh
# The race: ours hosted against Go, the same work, alternating within the same minutes.
#
#   tests/bench/compare.sh [--cpus LIST] [--rounds N] [--qemu] [ROW...]
#
# Prints one table: per row and number of CPUs the median of ours, of Go, the median of the ratios ours/Go (one ratio
# a round), their spread, and how far the calibration loop moved meanwhile (1.00: the host stood still). Take differences
# under 20 % for nothing. Go is found on PATH, or told by GO=. --qemu runs ours in QEMU as well, against
# switch_floor of the same run. The lines measured are kept in $OUT (default target/bench).
set -eu
cd "$(dirname "$0")/../.."

cpus="1 2" rounds=3 qemu= rows=
while [ $# -gt 0 ]; do
    case $1 in
        --cpus) cpus=$(echo "$2" | tr , ' '); shift ;;
        --rounds) rounds=$2; shift ;;
        --qemu) qemu=1 ;;
        -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
        -*) echo "compare.sh: unknown option $1" >&2; exit 1 ;;
        *) rows="$rows $1" ;;
    esac
    shift
done

target=${CARGO_TARGET_DIR:-target}
out=${OUT:-$target/bench}
mkdir -p "$out"
cargo build --release -p hosted --example bench 2>"$out/build.log" || { cat "$out/build.log" >&2; exit 1; }
ours=$target/release/examples/bench

go=${GO:-$(command -v go || true)}
theirs=
if [ -n "$go" ]; then
    theirs=$(cd "$out" && pwd)/gobench
    (cd tests/bench/go && "$go" build -ldflags=-checklinkname=0 -o "$theirs" .)
    echo "# $("$go" version)"
else
    echo "# Go not found (PATH, GO=): ours alone"
fi
echo "# $(uname -sr), $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $(nproc) CPUs"

# A row's group is measured whole, so ask for the first of each group only.
[ -n "$rows" ] || rows="switch_floor yield2 yield100 chan_unbuf_rt chan_buf128 spawn_join_1 spawn_join_10k mutex_free
    mutex_8g mutex_8g_yield cond_rt sema_rt select4_ready select4_block sieve2000 fib30 skynet1m blocked1m_spawn timer100k_total
    wake_p50 fair_p50"

lines=$out/lines
: >"$lines"
for n in $cpus; do
    for round in $(seq "$rounds"); do
        for row in $rows; do
            "$ours" "$row" --cpus "$n" | sed "s/^/ours,$n,$round,/" >>"$lines"
            [ -z "$theirs" ] || GOMAXPROCS=$n "$theirs" "$row" | sed "s/^/go,$n,$round,/" >>"$lines"
        done
    done
done

# who,cpus,round,name,value,unit,min,max,n
awk -F, '
function median(list, sorted, n, i, j, t) {
    n = split(list, sorted, " ")
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && sorted[j] + 0 < sorted[j - 1] + 0; j--) { t = sorted[j]; sorted[j] = sorted[j - 1]; sorted[j - 1] = t }
    low = sorted[1]; high = sorted[n]
    return sorted[int((n + 1) / 2)]
}
$4 == "calibration" { cal[$1] = $5; next }
{
    key = $2 "," $4
    if (!(key in seen)) { seen[key] = 1; order[++keys] = key }
    unit[key] = $6
    v[$1, key] = v[$1, key] " " $5
    one[$1, key, $3] = $5
    if (!($1 in calmin) || cal[$1] < calmin[$1]) calmin[$1] = cal[$1]
    if (cal[$1] > moved[key, $1]) moved[key, $1] = cal[$1]
    rounds[key] = $3
}
END {
    printf "%-4s %-20s %12s %12s %-5s %8s %-15s %s\n", "cpus", "row", "ours", "go", "unit", "ours/go", "spread", "host"
    for (k = 1; k <= keys; k++) {
        key = order[k]; split(key, part, ",")
        ratios = ""
        for (r = 1; r <= rounds[key]; r++)
            if (("ours", key, r) in one && ("go", key, r) in one && one["go", key, r] > 0)
                ratios = ratios " " one["ours", key, r] / one["go", key, r]
        ratio = ratios == "" ? "-" : sprintf("%.2f", median(ratios))
        spread = ratios == "" ? "-" : sprintf("%.2f..%.2f", low, high)
        mine = v["ours", key] == "" ? "-" : median(v["ours", key])
        gos = v["go", key] == "" ? "-" : median(v["go", key])
        host = calmin["ours"] > 0 ? moved[key, "ours"] / calmin["ours"] : 1
        printf "%-4s %-20s %12s %12s %-5s %8s %-15s %.2f\n", part[1], part[2], mine, gos, unit[key], ratio, spread, host
    }
}' "$lines"

if [ -n "$qemu" ]; then
    for n in $cpus; do
        echo "# in QEMU, $n CPUs: value and multiple of switch_floor"
        ./qemu-run.sh --smp "$n" --mem 8G --timeout 1800 --run "bench" | tr -d '\r' | awk -F, '
            NF == 6 && $1 == "switch_floor" { floor = $2 }
            NF == 6 && $1 != "calibration" { printf "%-20s %12s %-5s %s\n", $1, $2, $3, $3 == "ns" && floor ? sprintf("%.1f", $2 / floor) : "" }'
    done
fi
