#!/usr/bin/env bash
# Numbers with a point: goroutines against threads of plain Rust that call the same function, natively and in QEMU, and what that function
# takes if floating point is computed in software. Medians of all rounds. Natively goroutines may take 1.3 times as long as threads.
#
#   tests/bench/mandelbrot.sh [VMLINUZ [ROUNDS]]
#
#   VMLINUZ   a Linux kernel for the threads in QEMU, such as Debian's linux-image-cloud-amd64 has: apt-get download, dpkg-deb -x.
#             Without one there are only ours there.
#   ROUNDS    default 5
set -euo pipefail
vmlinuz=${1:+$(realpath -e "$1")} rounds=${2:-5}
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source tests/lib/build.sh
picture="400 300 1000"
build_boot
build_kernel
cargo build --quiet --release --target-dir "$target" -p hosted --example mandelbrot
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What computes in software has an ABI of its own: it brings its own helpers, and shows one function.
rustc --edition 2024 -O --crate-name soft --crate-type staticlib --cfg 'feature="soft"' --target x86_64-unknown-none \
    -C relocation-model=pic -C code-model=small -C panic=abort -o "$work/soft.a" tests/bench/mandelbrot.rs
ld -r --gc-sections -u soft_row -o "$work/soft.o" "$work/soft.a"
objcopy --keep-global-symbol=soft_row "$work/soft.o"
rustc --edition 2024 -O -C target-feature=+crt-static -C link-arg="$work/soft.o" -o "$work/init" tests/bench/mandelbrot.rs
(cd "$work" && echo init | cpio -o -H newc --quiet) >"$work/initrd"

# Each row: where, who, f64, lanes and perhaps software, in nanoseconds a point.
rows() { # WHERE: of what is read
    tr -d '\r' | sed -nE "s/^(threads: )?([0-9]+) ns a point in f64, ([0-9]+) in 4 lanes(, ([0-9]+) in software)?$/$1 \1 \2 \3 \5/p" |
        sed 's/ threads: / threads /; t; s/ / ours /' | tee -a "$work/rows"
}
natively() { # several times: it takes little, and a busy host moves it most
    local n
    for n in 1 2 3 4 5; do
        "$target/release/examples/mandelbrot" $picture
        "$work/init" $picture
    done
}
in_linux() {
    [[ -z $vmlinuz ]] || timeout 600 qemu-system-x86_64 -accel tcg,thread=multi -machine q35 -cpu max -smp 2 -m 512M \
        -nodefaults -display none -serial stdio -no-reboot -kernel "$vmlinuz" -initrd "$work/initrd" \
        -append "console=ttyS0 quiet tsc=reliable clocksource=tsc panic=-1 -- $picture" </dev/null
}
in_ours() {
    "$boot" --kernel "$kernel" --smp 2 --timeout 600 --run "mandelbrot $picture" </dev/null
}
for ((round = 0; round < rounds; round++)); do
    natively | rows native
    in_linux | rows qemu
    in_ours | rows qemu
done

awk '
    function median(key, list, n, i, j, t) {
        n = split(all[key], list, " ")
        for (i = 2; i <= n; i++)
            for (j = i; j > 1 && list[j] + 0 < list[j - 1] + 0; j--) { t = list[j]; list[j] = list[j - 1]; list[j - 1] = t }
        return n ? list[int((n + 1) / 2)] : 0
    }
    function tell(place, what, ours, theirs) {
        if (!theirs) { printf "%-6s %-7s ours %6d ns\n", place, what, ours; return }
        printf "%-6s %-7s ours %6d ns  threads %6d ns  ours/threads %5.2f\n", place, what, ours, theirs, ours / theirs
        if (place == "native" && ours > 1.3 * theirs) slow = 1
    }
    {
        all[$1 $2 "f64"] = all[$1 $2 "f64"] " " $3
        all[$1 $2 "lanes"] = all[$1 $2 "lanes"] " " $4
        if (NF > 4) all[$1 "software"] = all[$1 "software"] " " $5
    }
    END {
        print ""
        split("native qemu", places, " ")
        for (p = 1; p <= 2; p++) {
            place = places[p]
            f64 = median(place "oursf64")
            tell(place, "f64", f64, median(place "threadsf64"))
            tell(place, "4 lanes", median(place "ourslanes"), median(place "threadslanes"))
            if (software = median(place "software"))
                printf "%-6s in software %d ns: %.1f times f64\n", place, software, software / median(place "threadsf64")
        }
        exit slow
    }' "$work/rows"
