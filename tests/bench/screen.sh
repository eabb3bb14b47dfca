#!/usr/bin/env bash
# What 1,000 lines on a screen of 1920x1080 take, and what they cost others.
# usage: tests/bench/screen.sh [RUNS]     (default 5) medians, on 2 CPUs and on one; the screen is UEFI's
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
runs=${1:-5}

median() { sort -n | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }

# What the kernel says to so many runs of a command, by a screen or without.
said() { # CPUS SCREEN COMMAND
    local all= n vga=(-vga none)
    [[ $2 != screen ]] || vga+=(-device VGA,xres=1920,yres=1080)
    for ((n = 0; n < runs; n++)); do all+="$3;"; done
    ./qemu-run.sh --uefi --smp "$1" --run "$all" -- "${vga[@]}" | tr -d '\r'
}

for cpus in 2 1; do
    for screen in screen none; do
        printf '%s CPUs, %-6s  ' $cpus $screen
        printf '1000 lines: %s s; ' "$(said $cpus $screen "time lines 1000" | sed -n 's/^\([0-9.]*\) s$/\1/p' | median)"
        yields() { said $cpus $screen "$1" | awk -F, '/^yield2/ { print $2 }' | median; }
        printf 'yield2: %s ns, and %s ns beside 1,000 lines a second\n' "$(yields "bench yield2")" "$(yields "beside 1000 bench yield2")"
    done
done
