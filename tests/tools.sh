#!/usr/bin/env bash
# What tools of other people make of a running kernel, by hand: a browser draws /debug/ (Debian's chromium, without a
# screen), and `go tool pprof` draws profiles. Needs chromium, graphviz and Go (GO=/path/to/go, or in the PATH).
# usage: tests/tools.sh [DIRECTORY]     the pictures go there (default: target/tools), to be looked at
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tests/lib/setup.sh
source tests/lib/build.sh
need_rust
need_qemu
command -v chromium >/dev/null || need_packages chromium
command -v dot >/dev/null || need_packages graphviz
pictures=${1:-$target/tools}
mkdir -p "$pictures"
port=$((20000 + RANDOM % 10000))
build_boot
export PPROF_TMPDIR=$pictures/profiles
failed=0

says() { # WHAT STATUS
    if (($2 == 0)); then echo "ok     $1"; else echo "FAILED $1" && failed=1; fi
}

# A page in a browser, after some of its polls: what it draws, and whether the drawing has this word.
browser() { # NAME WORD
    local options=(--headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1200,900 --virtual-time-budget=8000) dom
    dom=$(timeout 60 chromium "${options[@]}" --dump-dom "http://localhost:$port/debug/" 2>/dev/null)
    timeout 60 chromium "${options[@]}" --screenshot="$pictures/$1.png" "http://localhost:$port/debug/" 2>/dev/null
    grep -Eq 'data-polls="[2-9]' <<<"$dom" && grep -q '<polyline' <<<"$dom" && grep -q '<span id="error"></span>' <<<"$dom" &&
        grep -qF "$2" <<<"$dom" && [[ -s $pictures/$1.png ]]
}

for fault in deadlock:sync.Mutex.Lock mailboxes:auditor lost_reply:client hog:checker; do
    name=${fault%:*}
    build_kernel "$name"
    : >"$pictures/$name.log"
    "$boot" --kernel "$kernel" --smp 2 --net "$port:80" --timeout 120 >"$pictures/$name.log" 2>&1 </dev/null &
    machine=$!
    until grep -q "served on port 80" "$pictures/$name.log"; do kill -0 $machine && sleep 0.1; done
    browser "$name" "${fault#*:}" && status=0 || status=1
    says "a browser draws $name" $status
    if command -v "${GO:-go}" >/dev/null; then
        for profile in goroutine 'profile?seconds=2' 'block?seconds=2' 'mutex?seconds=2'; do
            picture=$pictures/$name-${profile%\?*}.svg
            "${GO:-go}" tool pprof -svg -output "$picture" "http://localhost:$port/debug/pprof/$profile" >"$picture.log" 2>&1 &&
                grep -q '</svg>' "$picture" && status=0 || status=1
            # Nobody may have waited for a lock: then there is nothing to draw.
            if ((status)) && grep -q 'profile is empty' "$picture.log"; then status=0; fi
            says "pprof draws $name: $profile" $status
        done
    else
        echo "skipped: no Go here (GO=/path/to/go)"
    fi
    kill $machine
    wait $machine || true
done
echo "the pictures are in $pictures"
exit $failed
