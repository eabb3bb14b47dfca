#!/usr/bin/env bash
# Runs every test and ends with the line `N passed, N failed`. Installs what is missing.
# usage: tests/run.sh [STEP...]     only these steps, by the names that are printed (default: all of them)
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
[[ ${1-} != -* ]] || { sed -n '2,3s/^# //p' tests/run.sh && exit 2; }

source tests/lib/setup.sh
source tests/lib/build.sh
need_rust
need_qemu ovmf
logs=$target/test-logs
mkdir -p "$logs"
passed=0 failed=0 skipped=0
only=" $* " known=
begun_all=$SECONDS

# step NAME COMMAND...: runs it, shows what it says, and adds up what cargo counted. A step without tests, or one that
# fails without a failed test, counts as one.
step() {
    local name=$1 log=$logs/$1.log begun=$SECONDS status n p f s
    shift
    known+=" $name"
    [[ $only = "  " || $only = *" $name "* ]] || return 0
    printf '\n=== %s: %s\n' "$name" "$*"
    "$@" 2>&1 </dev/null | tee "$log"
    status=${PIPESTATUS[0]}
    read -r n p f s < <(awk '/^test result:/ { n++; p += $4; f += $6; s += $8 } END { print n + 0, p + 0, f + 0, s + 0 }' "$log")
    if ((status == 0 && n == 0)); then p=1; fi
    if ((status != 0 && f == 0)); then f=1; fi
    ((passed += p, failed += f, skipped += s))
    printf '=== %s: %d passed, %d failed (%d s)\n' "$name" "$p" "$f" $((SECONDS - begun))
}

host=(-p executive-core -p executive-services -p executive -p contract -p hosted -p bench -p demos -p files -p net -p http -p diagnostics -p policies -p hosted-tap -p scenarios -p boot) # these run here; -p tests boots machines
bare=(--release "${goroutine[@]}")
# boot's build script must not see this (boot/Cargo.toml); every cargo below gets it as an option.
unset CARGO_TARGET_DIR CARGO_BUILD_TARGET_DIR

format() {
    cargo fmt --all --check && rustfmt --edition 2024 --check tests/outside/*/src/*.rs &&
        rustfmt --edition 2024 --check course/harness/src/*.rs course/counting/src/*.rs course/labs/*/src/lib.rs course/labs/*/{claims,count}/src/main.rs
}

clippy() {
    build_boot && # as it is to be, before cargo builds it
        cargo clippy --target-dir "$target" "${host[@]}" -p tests --all-targets -- -D warnings
}

# The example that brings its own heap is a kernel without ours.
clippy_kernel() {
    cargo clippy --target-dir "$target" "${bare[@]}" -p kernel -p drivers -p shell --lib --bins --examples -- -D warnings &&
        cargo clippy --target-dir "$target" "${bare[@]}" -p kernel --lib --example own_heap --features own-heap -- -D warnings
}

units() {
    build_boot && # as it is to be, before cargo builds it
        cargo test --target-dir "$target" --no-fail-fast "${host[@]}"
}

# The models of the executive's protocols. They want optimised code, but not minutes of linking.
loom() {
    CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_DEBUG=0 \
        LOOM_MAX_PREEMPTIONS=${LOOM_MAX_PREEMPTIONS:-3} RUSTFLAGS="--cfg loom" \
        cargo test --target-dir "$target/loom" --release --no-fail-fast -p executive-core --lib models
}

# The documentation of what others may use, without a warning.
docs() {
    RUSTDOCFLAGS="-D warnings" cargo doc --target-dir "$target" --no-deps -p executive-core -p executive-services -p executive -p contract -p hosted -p bench -p demos -p files -p net -p http -p diagnostics -p policies -p scenarios &&
        RUSTDOCFLAGS="-D warnings" cargo doc --target-dir "$target" --no-deps --release --target x86_64-unknown-none -p kernel -p drivers --lib
}

# What Cargo.toml promises to build with an older compiler, where that is installed.
oldest() {
    local version installed
    version=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    # 1.95 and 1.95.0 are names of the same.
    installed=$(rustup toolchain list | grep -oEm1 "^${version//./\\.}(\.[0-9]+)?-[^ ]+")
    if [[ -n $installed ]]; then
        cargo "+$installed" check --target-dir "$target/oldest" --locked -p executive -p contract -p hosted
    else
        echo "skipped: rust $version is not here (rustup toolchain install --profile minimal $version)"
        echo "test result: ok. 0 passed; 0 failed; 1 ignored;"
    fi
}

kernel() {
    build_boot && build_kernel
}

# Each file of tests is a process. Two of them run at a time, because the last machines of one often wait.
in_qemu() {
    build_boot && build_kernel || return
    export CARGO_TARGET_DIR=$target BOOT=$boot KERNEL=$kernel RUST_TEST_THREADS=2 logs
    # With the packages of `units`, whose dependencies so are built.
    cargo test "${host[@]}" -p tests --no-run --message-format=json-render-diagnostics >"$logs/qemu.built" || return
    # shellcheck disable=SC2016 # the inner shell expands these
    sed -n '/"package_id":"[^"]*\/tests#/s/.*"executable":"\([^"]*\)".*/\1/p' "$logs/qemu.built" | xargs -P2 -I{} bash -c '
        begun=$SECONDS said=$(cd tests && "$1" 2>&1)
        status=$?
        printf "%s (%d s)\n%s\n" "$1" $((SECONDS - begun)) "$said" | flock "$logs" cat
        exit $status' in_qemu {}
}

step format format
step kernel kernel
step clippy clippy
step clippy-kernel clippy_kernel
step docs docs
step oldest oldest
step units units
step loom loom
step miri cargo miri test --target-dir "$target/miri" -p executive-core --lib
# Without the network, whose scenarios have wires with seeds of their own: each minute of them is many schedules of one kind.
# And without leases (`addresses`): by a seed's clock one may be over before its server has run. Ten thousand panics are
# a fifth of a seed's time; `panics::at_random_points` is there for seeds.
step fuzz env SCENARIO="-network -web -addresses -ten_thousand" tests/fuzz.sh 700
step fuzz-net tests/fuzz-net.sh 60000
step net-peers env CARGO_TARGET_DIR="$target" tests/net-peers 4
step net-peers-qemu env CARGO_TARGET_DIR="$target" tests/net-peers --qemu 2 8
step fuzz-kernel tests/fuzz-kernel.sh
step book docs/book
step course env CARGO_TARGET_DIR="$target" tests/course.sh
step qemu in_qemu
step outside env CARGO_TARGET_DIR="$target" tests/outside.sh

for name in "$@"; do
    [[ " $known " = *" $name "* ]] || { echo "run.sh: no step '$name'; there are:$known" >&2 && exit 2; }
done
printf '\n(%d s; the logs are in %s)\n' $((SECONDS - begun_all)) "$logs"
printf '%d passed, %d failed' "$passed" "$failed"
((skipped == 0)) || printf ', %d skipped' "$skipped"
echo
((failed == 0))
