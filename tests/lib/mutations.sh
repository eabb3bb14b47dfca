# Sourced by tests/mutations.sh, tests/mutations-contract.sh and tests/exercises.sh (which has a loop of its own): breaks a copy of the code in one place at a time, and looks who notices.
#
# Who sources it has set `root`, exports what cargo needs, calls `copy`, and defines `builds TEST` and `passes TEST WHO`.
# The changes are perl expressions over the whole file. One that changes nothing is an error: the code has moved on, and so must the list.

# With --list, and perhaps words, it only tells what would be broken, and who must notice.
list=
if [[ ${1-} == --list ]]; then
    list=1
    shift
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
words=("$@")
tried=0
missed=()
why=

copy() { # CRATE...: a workspace of these crates. The last one's sources are what is broken.
    local crate members=
    cp "$root/Cargo.lock" "$root/rust-toolchain.toml" "$work"
    for crate in "$@"; do
        members+="\"$crate\", "
        mkdir -p "$work/$(dirname "$crate")"
        [[ -d $work/$crate ]] || cp -r "$root/$crate" "$work/$crate"
    done
    sed "s|^members = .*|members = [$members]|; /^default-members/d" "$root/Cargo.toml" >"$work/Cargo.toml"
    src=$work/$crate
    cp -r "$src" "$work/clean"
}

# The path below $src of a source that is called by its name and as many of its folders' as tell it from others;
# or by all of them, after "./".
place() { # FILE
    local found
    [[ $1 != ./* ]] || { echo "${1#./}" && return; }
    found=$(cd "$src" && find . -path "*/src/*" \( -path "*/src/$1" -o -path "*/$1" \) -printf '%P\n')
    [[ -n $found && $found != *$'\n'* ]] || { echo "no source, or several, called $1: $found" >&2 && return 1; }
    echo "$found"
}

miss() { # KIND FILE NAME WORDS
    echo "$1 $2: $3: $4"
    missed+=("$3")
}

wanted() { # TEXT: no words were given, or it has one of them
    local word
    for word in "${words[@]}"; do [[ $1 == *"$word"* ]] && return; done
    ((${#words[@]} == 0))
}

mutation() { # NAME FILE TEST WHO PERL
    local name=$1 file=$2 test=$3 who=$4 change=$5 at
    [[ ${show-$name} == "$name" ]] && wanted "$name $file $test $who" || return 0
    tried=$((tried + 1))
    if [[ $list ]]; then
        printf '%-14s %-64s %s\n' "$file" "$name" "$who"
        return
    fi
    at=$(place "$file")
    perl -0pi -e "$change" "$src/$at"
    if cmp -s "$src/$at" "$work/clean/$at"; then
        miss "STALE " "$file" "$name" "changes nothing"
        return 0
    fi
    if ! builds "$test" >"$work/log" 2>&1; then
        miss "STALE " "$file" "$name" "does not compile"
        grep -m3 -A6 '^error' "$work/log" || true
    elif passes "$test" "$who" >"$work/log" 2>&1; then
        miss MISSED "$file" "$name" "$who passes$why"
    else
        echo "ok     $file: $name: $who fails$why"
        [[ -z ${show-} ]] || keep "$at" "$who"
    fi
    cp "$work/clean/$at" "$src/$at"
    touch "$src/$at"
}

summary() { # [WHAT]: the status is 0 if all were noticed
    [[ -z $list ]] || return 0
    echo "$tried ${1:-mutations}, ${#missed[@]} unnoticed"
    ((tried > 0 && ${#missed[@]} == 0))
}
