#!/usr/bin/env bash
# How long the kernel's build takes at each of these commits: from nothing, and after a touch of kernel/src/lib.rs or of
# kernel/shell/src/main.rs.
#
#   tests/bench/builds.sh [-n ROUNDS] COMMIT...     medians of so many (default 3), the commits in turn
#
# CPU time of all processes (user and system), which a busy machine changes least, and wall clock. Every commit is built
# by its own tests/lib/build.sh in a folder of its own.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/lib/setup.sh
need_rust
rounds=3
[[ ${1-} != -n ]] || { rounds=$2 && shift 2; }
(($#)) || { sed -n '2,8s/^# \{0,1\}//p' "$0" && exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset CARGO_TARGET_DIR CARGO_BUILD_TARGET_DIR
for commit; do
    mkdir "$work/$commit"
    git archive "$commit" | tar -x -C "$work/$commit"
    (cd "$work/$commit" && cargo fetch --quiet)
done

builds() ( # COMMIT
    cd "$work/$1" && source tests/lib/build.sh && build_kernel
)
takes() { # COMMIT WHAT
    local TIMEFORMAT='%U %S %R' times
    times=$({ time builds "$1" >"$work/log" 2>&1; } 2>&1) || { cat "$work/log" && exit 1; }
    awk -v what="$1 $2" '{ printf "%s\t%.1f\t%.1f\n", what, $1 + $2, $3 }' <<<"$times" | tee -a "$work/all"
}
for ((round = 1; round <= rounds; round++)); do
    for commit; do
        rm -rf "$work/$commit/target"
        takes "$commit" "from nothing"
        for file in kernel/src/lib.rs kernel/shell/src/main.rs; do
            touch "$work/$commit/$file"
            takes "$commit" "after $file"
        done
        rm -rf "$work/$commit/target"
    done
done

echo
echo "medians of $rounds: s of CPU time, s of wall clock"
median() { sort -n | sed -n "$(((rounds + 1) / 2))p"; }
cut -f1 "$work/all" | awk '!seen[$0]++' | while read -r what; do
    of=$(grep "^$what"$'\t' "$work/all")
    printf '%-50s %6s %6s\n' "$what" "$(cut -f2 <<<"$of" | median)" "$(cut -f3 <<<"$of" | median)"
done
