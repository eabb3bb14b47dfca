#!/usr/bin/env bash
# Numbers with a point: goroutines of a Linux process against threads, which may take 1.3 times as long, and the kernel in QEMU.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source tests/lib/build.sh
said=$(cargo run --quiet --release --target-dir "$target" -p hosted --example mandelbrot)
echo "$said"
build_boot && build_kernel
"$boot" --kernel "$kernel" --smp 2 --run "mandelbrot 800 600 1000" </dev/null | grep "ns a point"
awk '/^goroutines/ { n++; if ($(NF - 1) > 1.3) slow++ } END { exit n != 2 || slow }' <<<"$said"
