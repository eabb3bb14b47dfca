#!/usr/bin/env bash
# Does each exercise of docs/exercises.md have a test that fails until it is done? In a copy, each function of its first table loses its body.
#
#   tests/exercises.sh [WORD...]      all of them (some minutes), or those whose row contains one of the words
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
source "$root/tests/lib/mutations.sh"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}/exercises
cp -r "$root"/{Cargo.toml,Cargo.lock,rust-toolchain.toml,.cargo,kernel,boot,tests} "$work"
src=$work/kernel/executive/src
cd "$work"

run() { # COMMAND, as the table has it
    local rest
    if [[ $1 == "loom "* ]]; then
        read -r _ model rest <<<"$1"
        RUSTFLAGS="--cfg loom -Awarnings" CARGO_PROFILE_RELEASE_LTO=off CARGO_TARGET_DIR=$CARGO_TARGET_DIR/loom \
            timeout 300 cargo test -q --offline -p executive --release --test "loom_$model" -- "$rest"
    else
        RUSTFLAGS=-Awarnings timeout 300 bash -c "$1"
    fi
}

# The body of the one function of this name; braces within it pair up.
empty() { # FILE FUNCTION BODY
    perl -0pi -e 'BEGIN { ($name, $body) = splice @ARGV, 0, 2 }
        $n = s/(\bfn \Q$name\E\b[^{]*?)(\{(?:[^{}]++|(?2))*\})/$1\{ $body }/; END { exit !$n }' "$2" "$3" "$1"
}

while IFS='|' read -r _ file name test _; do
    file=${file// /} name=${name//[\` ]/} test=$(sed 's/^ *`//; s/` *$//' <<<"$test")
    wanted "$file $name $test" || continue
    tried=$((tried + 1))
    cp "$src/$file" before
    body='todo!()'
    [[ $file == switch.rs ]] && body='"ud2", "/* {g} {sp} */", g = const CURRENT, sp = const SP'
    if ! run "$test" >log 2>&1; then
        miss "FAILS " "$file" "$name" "$test fails as it is"
        tail -5 log
    elif ! grep -Eq '[1-9][0-9]* passed' log; then
        miss "STALE " "$file" "$name" "$test runs nothing"
    elif ! empty "$src/$file" "$name" "$body"; then
        miss "STALE " "$file" "$name" "there is no such function"
    elif run "$test" >log 2>&1; then
        miss MISSED "$file" "$name" "$test passes"
    elif grep -q '^error: could not compile' log; then
        miss "STALE " "$file" "$name" "does not compile"
        grep -m2 -A6 '^error' log
    else
        echo "ok     $file: $name: $test fails"
    fi
    cp before "$src/$file"
    touch "$src/$file"
done < <(grep -E '^\| [a-z/]+\.rs \|' "$root/docs/exercises.md")
summary exercises
