#!/bin/sh
# What an operation's instructions are spent on: for each file its functions, however they were inlined, with the instructions of their own.
#
#   tests/bench/steps.sh [OPERATION...]         (default: switch spawn_exit_join chan_round_trip)
#
# Hosted, release build, one CPU. callgrind counts runs of N and 3 N operations, instruction by instruction; the difference is the
# operation's. By hand: what a change is held to is tests/bench/instructions.txt. Without valgrind it says so and ends with status 3.
set -eu
cd "$(dirname "$0")/../.."

command -v valgrind >/dev/null || { echo "steps.sh: no valgrind: apt-get install valgrind" >&2; exit 3; }
[ $# -gt 0 ] || set -- switch spawn_exit_join chan_round_trip

program=${CARGO_TARGET_DIR:-target}/release/examples/count
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cargo build --release -p hosted --example count 2>"$dir/log" || { cat "$dir/log" >&2; exit 1; }

n=7808
for operation; do
    for times in 1 3; do
        valgrind --tool=callgrind --callgrind-out-file="$dir/$times" --dump-instr=yes --compress-strings=no --compress-pos=no \
            "$program" "$operation" $((times * n)) 2>"$dir/log" || { cat "$dir/log" >&2; exit 1; }
    done

    # Instructions per operation at each of the program's addresses. callgrind gives those of .text as they are in the file; switch.rs is in a
    # section of its own, of which it knows no object: there it gives them as loaded, far above.
    linked=$(nm "$program" | sed -n 's/ [tT] .*executive.*switch4gogo$//p')
    awk -v ops=$((2 * n)) -v linked="$((0x$linked))" '
        function number(hex,   i, value) {
            for (i = 3; i <= length(hex); i++) value = 16 * value + index("0123456789abcdef", substr(hex, i, 1)) - 1
            return value
        }
        FNR == 1 { sign = NR == 1 ? -1 : 1 }
        /^ob=/ { ours = /\/count$/ }
        /^fn=/ { switching = /^fn=<?executive_core::/; gogo = /^fn=executive_core::switch::gogo/ }
        /^calls=/ { getline; next }
        /^0x/ && (ours || switching) {
            at = number($1)
            if (gogo && !loaded) loaded = at
            cost[at] += sign * $3
        }
        END {
            for (at in cost) if (cost[at]) printf "%x %f\n", at + 0 < linked + 4096 ? at : at - loaded + linked, cost[at] / ops
        }
    ' "$dir/1" "$dir/3" | sort >"$dir/costs"

    # Whose they are: the innermost of the inlined functions that is in our source.
    cut -d' ' -f1 "$dir/costs" | addr2line -e "$program" -afiC | awk '
        /^0x/ { at = $1; sub(/^0x0*/, "", at); next }
        {
            name = $0; getline
            file = $1; sub(/:.*/, "", file)
            if (name ~ /gostart|goexit$/ || file == "??") file = "/executive/src/switch.rs" # its functions have no lines
            # The last of its names, and the one before it for a closure; no type arguments.
            gsub(/->/, "", name); while (gsub(/<[^<>]*>/, "", name)); gsub(/\[[0-9a-f]+\]/, "", name); gsub(/::(::)+/, "::", name); sub(/::$/, "", name)
            match(name, /[^:]*(::\{[^:]*)*$/); name = substr(name, RSTART)
            is_ours = sub(/.*\/kernel\//, "", file) || sub(/.*\/executive\//, "executive/", file)
            sub(/^executive\/(core\/|services\/)?src\//, "", file); sub(/.*\/library\//, "", file)
            if (!(at in whose) || is_ours && !ours[at]) whose[at] = file " " name
            ours[at] = ours[at] || is_ours
        }
        END { for (at in whose) print at, whose[at] }
    ' >"$dir/whose"
    awk -v operation="$operation" '
        NR == FNR { at = $1; sub(/^[^ ]+ /, ""); whose[at] = $0; next }
        { split(whose[$1], who, " "); all += $2; file[who[1]] += $2; function_[whose[$1]] += $2 }
        END {
            printf "%s: %.1f instructions\n", operation, all
            for (w in function_) if (function_[w] >= 0.05) {
                split(w, who, " ")
                printf "%.1f %s %.1f %s\n", file[who[1]], who[1], function_[w], who[2] | "sort -k1,1rn -k2,2 -k3,3rn"
            }
        }
    ' "$dir/whose" "$dir/costs" | awk '
        NR == 1 { printf "%s", $0; next }
        $2 != file { file = $2; printf "\n%8.1f  %-20s ", $1, file; separator = "" }
        { printf "%s%s %s", separator, $4, $3; separator = ", " }
        END { print "" }
    '
done
