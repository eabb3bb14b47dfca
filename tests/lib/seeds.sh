# Sourced by tests/fuzz.sh and tests/fuzz-net.sh: programs whose schedules a seed makes, and a run of one.

cpus=${CPUS:-1}
target=${CARGO_TARGET_DIR:-target}/fuzz
[[ $target == /* ]] || target=$PWD/$target
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
export logs EXECUTIVE_CPUS=$cpus

# build_seeded ARGUMENT...: the examples that these name to cargo, in $target/debug/examples.
build_seeded() {
    RUSTFLAGS="-Cforce-frame-pointers=yes --cfg fuzz -Awarnings ${RUSTFLAGS-}" cargo build -q --target-dir "$target" "$@"
}

# one SEED SECONDS PROGRAM [ARGUMENT...]: what it says is in $logs/PROGRAM-SEED; if it fails that is shown.
one() {
    local seed=$1 seconds=$2 status=0
    shift 2
    local log=$logs/${1##*/}-$seed
    EXECUTIVE_SEED=$seed timeout "$seconds" "$@" >"$log" 2>&1 || status=$?
    if ((status != 0)); then
        echo "FAILED seed $seed (status $status; 124: it has hung):"
        head -c 4000 "$log"
        echo "again: EXECUTIVE_SEED=$seed EXECUTIVE_CPUS=$EXECUTIVE_CPUS $*"
        return 1
    fi
}
export -f one
