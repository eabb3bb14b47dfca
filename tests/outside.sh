#!/usr/bin/env bash
# What strangers' directories get of us: kernels, primitives, and a process, built outside of this
# repository and so without its .cargo/config.toml.
#
#   tests/outside.sh
#
# tests/outside/ is copied elsewhere, and each directory of it built and run by the one command that
# README.md tells. Then a process and a kernel panic: built as cargo builds by itself, their reports
# have no backtrace and say why; with the README's flags they have one.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
source tests/lib/setup.sh
source tests/lib/build.sh
need_rust
need_qemu
build_boot # before anything is timed
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# qemu-run.sh builds the boot tool there; the programs have their own directory.
export CARGO_TARGET_DIR=$target
unset CARGO_BUILD_TARGET_DIR CARGO_BUILD_RUSTFLAGS CARGO_ENCODED_RUSTFLAGS RUSTFLAGS
asked=0 failed=0

# holds WHAT FILE COMMAND...: does the command succeed? If not, the file tells what was there instead.
holds() {
    local what=$1 file=$2
    shift 2
    asked=$((asked + 1))
    if "$@"; then
        echo "ok     $what"
    else
        echo "FAILED $what; it said:"
        cat "$file"
        failed=$((failed + 1))
    fi
}

# settle DIRECTORY: the versions that this repository is tested with, and its toolchain.
settle() {
    cp "$root/Cargo.lock" "$root/rust-toolchain.toml" "$1"
}

# runs DIRECTORY LINE CARGO'S-ARGUMENTS...: `cargo run` there succeeds, and prints this line.
runs() {
    local directory=$1 line=$2 status=0
    shift 2
    (cd "$work/$directory" && timeout 300 cargo run --quiet --target-dir "$target/outside" "$@") </dev/null >"$work/said" 2>&1 || status=$?
    tr -d '\r' <"$work/said" >"$work/said.lf"
    holds "$directory: cargo run $*: $line" "$work/said" eval '((status == 0)) && grep -qxF "$line" "$work/said.lf"'
}

cp -r tests/outside/. "$work"
for directory in tests/outside/*/; do
    directory=$work/$(basename "$directory")
    settle "$directory"
    sed -i "s|\"\.\./\.\./\.\./|\"$root/|" "$directory/Cargo.toml" "$directory/.cargo/config.toml"
done
runs machine "a machine of my own: done" -- --timeout 60
runs kernel "a kernel on 2 CPUs: 6" -- --smp 2 --timeout 60
# Drivers, of one file each.
for board in pc q35; do
    device=(-- -machine "$board" -device edu)
    for cpus in 1 2 4; do
        runs edu "edu interrupts by MSI 0 storms" -- --smp "$cpus" --timeout 60 "${device[@]}"
    done
    runs edu "edu: there and back again" -- --uefi --smp 2 --timeout 60 "${device[@]}"
    runs edu "edu interrupts by pin 0 storms" -- --smp 2 --timeout 60 --run pin "${device[@]}"
    runs edu "edu interrupts by pin 0 storms" -- --uefi --smp 2 --timeout 60 --run pin "${device[@]}"
done
runs edu "edu interrupts by MSI 1 storms" -- --smp 2 --timeout 60 --run storm -- -device edu
runs clock "4 interrupts of the clock" -- --smp 2 --timeout 60
for cpus in 1 2 4; do
    EXECUTIVE_CPUS=$cpus runs primitives "primitives hold on $cpus CPUs"
    runs primitives "primitives hold on $cpus CPUs" --target x86_64-unknown-none -- --smp "$cpus" --timeout 60
done

# Frame pointers.
mkdir -p "$work"/frames/{process,machine}/src "$work/frames/.cargo"
settle "$work/frames"
cat >"$work/frames/Cargo.toml" <<'end'
[workspace]
resolver = "3"
members = ["process", "machine"]
end
package() { # NAME DEPENDENCY PATH
    printf '[package]\nname = "%s"\nedition = "2024"\n[dependencies]\n%s = { path = "%s" }\n' \
        "$1" "$2" "$root/$3" >"$work/frames/$1/Cargo.toml"
}
package process hosted kernel/hosted
package machine kernel kernel
cat >"$work/frames/process/src/main.rs" <<'end'
fn main() {
    hosted::run_with(1, dies)
}
#[inline(never)]
fn dies() {
    panic!("as it should")
}
end
cat >"$work/frames/machine/src/main.rs" <<'end'
#![no_std]
#![no_main]
kernel::entry!(dies);
#[inline(never)]
fn dies() {
    panic!("as it should")
}
end

has_frames() { # REPORT: the frames of the goroutine that panicked, up to the first empty line
    awk '/^goroutine 1 /, /^$/' "$1" | grep -q "::dies" && ! grep -q "built without frame pointers" "$1"
}
has_none() {
    awk '/^goroutine 1 /, /^$/' "$1" >"$work/frames/of1"
    grep -q "built without frame pointers: no backtrace" "$work/frames/of1" && ! grep -q "0x" "$work/frames/of1"
}

# dies WHAT has_frames|has_none COMMAND...: ends with status 2, and its report has frames or has none.
dies() {
    local what=$1 looks=$2 status=0
    shift 2
    "$@" </dev/null 2>&1 | tr -d '\r' >"$work/report" || status=$?
    holds "$what panics: $looks" "$work/report" eval '((status == 2)) && "$looks" "$work/report"'
}
both() { # has_frames|has_none
    local out=$target/outside/$1
    (cd "$work/frames" && cargo build --quiet --target-dir "$out" -p process)
    (cd "$work/frames" && cargo build --quiet --target-dir "$out" -p machine --release --target x86_64-unknown-none)
    dies process "$1" "$out/debug/process"
    dies machine "$1" ./qemu-run.sh --kernel "$out/x86_64-unknown-none/release/machine" --smp 2 --timeout 60
}
both has_none
sed -n '/^```toml$/,/^```$/p' README.md | sed '1d;$d' >"$work/frames/.cargo/config.toml"
both has_frames

# What strangers get from crates.io: these packages and no others, each of which builds of what it is
# packed with, licences included.
published() {
    local names="executive-core executive-services executive hosted" name file
    [[ $(sed -n 's/^ *Uploading \([^ ]*\) .*/\1/p' "$1" | xargs) = "$names" ]] || return
    for name in $names; do
        for file in README.md LICENSE-MIT LICENSE-APACHE; do
            [[ -s $(echo "$work/publish/package/$name"-[0-9]*/"$file") ]] || return
        done
    done
}
# Cargo takes what it has unpacked or built of a version for what is in it now. So all of that is elsewhere,
# but for what it has downloaded.
mkdir -p "$work/home/registry"
for cached in config.toml registry/index registry/cache; do
    from=${CARGO_HOME:-$HOME/.cargo}/$cached
    [[ ! -e $from ]] || ln -s "$from" "$work/home/$cached"
done
status=0
CARGO_HOME=$work/home cargo publish --workspace --dry-run --allow-dirty --target-dir "$work/publish" >"$work/published" 2>&1 || status=$?
if ((status != 0)) && grep -qE "index\.crates\.io|Could not resolve host" "$work/published"; then
    echo "skipped: cargo publish --dry-run asks the index of crates.io, which cannot be reached"
else
    holds "cargo publish --workspace --dry-run" "$work/published" eval '((status == 0)) && published "$work/published"'
fi

echo "$asked questions, $failed wrong"
((failed == 0))
