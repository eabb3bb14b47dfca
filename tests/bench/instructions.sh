#!/bin/sh
# Instructions of one switch, spawn and exit, and channel hand-over, counted by callgrind, against tests/bench/instructions.txt.
#
#   tests/bench/instructions.sh [--update]
#
# Fails when one has grown by more than 5 %: then make it cheaper again, or say why in the commit that runs --update.
# Timings say nothing on a shared machine; these repeat. Without valgrind it says so and ends with status 3.
set -eu
cd "$(dirname "$0")/../.."

update=
case ${1-} in
    --update) update=1 ;;
    '') ;;
    *) echo "instructions.sh: unknown option $1" >&2; exit 1 ;;
esac
command -v valgrind >/dev/null || { echo "instructions.sh: no valgrind: apt-get install valgrind" >&2; exit 3; }

target=${CARGO_TARGET_DIR:-target}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo build --release -p hosted --example count 2>"$log" || { cat "$log" >&2; exit 1; }

# Instructions of a run with $2 operations.
run() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$target/release/examples/count" "$1" "$2" 2>"$log" ||
        { cat "$log" >&2; exit 1; }
    sed -n 's/.*Collected : //p' "$log"
}

kept=tests/bench/instructions.txt
new=$(mktemp)
failed=0
n=20000
for operation in switch spawn_exit_join chan_round_trip chan_buffered; do
    few=$(run $operation $n)
    many=$(run $operation $((3 * n)))
    now=$(((many - few + n) / (2 * n)))
    echo "$operation $now" >>"$new"
    was=$(sed -n "s/^$operation //p" "$kept" 2>/dev/null || true)
    note=
    if [ -z "$update" ] && { [ -z "$was" ] || [ $((now * 100)) -gt $((was * 105)) ]; }; then
        note="  more than 5 % over ${was:-nothing}"
        failed=1
    fi
    echo "$operation $now (kept: ${was:--})$note"
done
[ -z "$update" ] || mv "$new" "$kept"
rm -f "$new"
exit $failed
