#!/usr/bin/env bash
# What a stranger's workspace gets of us: a process and a kernel, built outside of this repository and
# so without its .cargo/config.toml. Both panic.
#
#   tests/outside.sh
#
# Built as cargo builds by itself, their reports have no backtrace and say why. With the README's flags
# they have one.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
source tests/lib/setup.sh
source tests/lib/build.sh
need_rust
need_qemu
boot=${BOOT:-$target/debug/boot}
[[ -x $boot ]] || build_boot
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset CARGO_TARGET_DIR CARGO_BUILD_TARGET_DIR CARGO_BUILD_RUSTFLAGS CARGO_ENCODED_RUSTFLAGS RUSTFLAGS

cp Cargo.lock rust-toolchain.toml "$work"
mkdir -p "$work"/{process,machine}/src "$work/.cargo"
cat >"$work/Cargo.toml" <<'end'
[workspace]
resolver = "3"
members = ["process", "machine"]
end
package() { # NAME DEPENDENCY
    printf '[package]\nname = "%s"\nedition = "2024"\n[dependencies]\n%s = { path = "%s/kernel/%s" }\n' \
        "$1" "$2" "$root" "$([[ $2 = kernel ]] || echo "$2")" >"$work/$1/Cargo.toml"
}
package process hosted
package machine kernel
cat >"$work/process/src/main.rs" <<'end'
fn main() {
    hosted::run_with(1, dies)
}
#[inline(never)]
fn dies() {
    panic!("as it should")
}
end
cat >"$work/machine/src/main.rs" <<'end'
#![no_std]
#![no_main]
kernel::entry!(dies);
#[inline(never)]
fn dies() {
    panic!("as it should")
}
end

failed=0
# looks WHAT REPORT yes|no: are there frames, or the words, as there should be?
looks() {
    local words="built without frame pointers: no backtrace" good
    # The frames of the goroutine that panicked: up to the first empty line after its heading.
    awk '/^goroutine 1 /, /^$/' "$2" >"$work/frames"
    if [[ $3 = yes ]]; then
        grep -q "::dies" "$work/frames" && ! grep -q "$words" "$2" && good=1
    else
        grep -q "$words" "$work/frames" && ! grep -q "0x" "$work/frames" && good=1
    fi
    if [[ ${good-} ]]; then
        echo "ok     $1: frame pointers: $3"
    else
        echo "FAILED $1: frame pointers: $3; it said:"
        cat "$2"
        failed=$((failed + 1))
    fi
}

try() { # yes|no
    local out=$target/outside/$1 status=0
    cd "$work"
    cargo build --quiet --offline --target-dir "$out" -p process
    cargo build --quiet --offline --target-dir "$out" -p machine --release --target x86_64-unknown-none
    cd "$root"
    "$out/debug/process" >"$work/report" 2>&1 || status=$?
    ((status == 2)) || failed=$((failed + 1))
    looks process "$work/report" "$1"
    status=0
    "$boot" --kernel "$out/x86_64-unknown-none/release/machine" --smp 2 --timeout 60 >"$work/report" 2>&1 || status=$?
    ((status == 2)) || failed=$((failed + 1))
    tr -d '\r' <"$work/report" >"$work/report.lf"
    looks machine "$work/report.lf" "$1"
}

try no
sed -n '/^```toml$/,/^```$/p' README.md | sed '1d;$d' >"$work/.cargo/config.toml"
try yes
echo "4 reports, $failed wrong"
((failed == 0))
