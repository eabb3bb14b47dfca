#!/usr/bin/env bash
# Does each exercise of docs/exercises.md have a test that fails until it is done, and done right?
#
#   tests/exercises.sh [WORD...]          each row's test, in a copy: it passes as the code is, and fails for an
#                                         empty function and for each wrong body below. (Some minutes; or those
#                                         rows that have one of the words)
#   tests/exercises.sh --try FUNCTION     the test of this function's row, here: for who does the exercise
#   tests/exercises.sh --time [WORD...]   how long it takes, in a copy, from an edit of the function to the answer
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
mode=check
if [[ ${1-} == --* ]]; then
    mode=${1#--}
    shift
    [[ $mode == @(try|time) ]] || { sed -n '3,7s/^# //p' "$0" && exit 2; }
fi
source "$root/tests/lib/mutations.sh"

target=${CARGO_TARGET_DIR:-$root/target}
unset CARGO_TARGET_DIR CARGO_BUILD_TARGET_DIR

# Puts a row's question. What each kind stands for is told in docs/exercises.md. Models and scenarios are
# optimised less than in tests/run.sh: these are small, and to build them takes longer than to run them.
ask() { # KIND WORDS...: with cargo's output in $target
    local kind=$1
    shift
    case $kind in
    unit) cargo test --target-dir "$target" -p executive-core --lib "$@" ;;
    hosted) CARGO_PROFILE_DEV_OPT_LEVEL=0 cargo test --target-dir "$target" -p hosted --test scenarios -- "$@" ;;
    fuzz) SCENARIO="$*" CARGO_TARGET_DIR=$target tests/fuzz.sh 50 ;;
    loom) # FILE WORD...: the models in that file whose name has one of the words
        local models=(env RUSTFLAGS="--cfg loom" cargo test --target-dir "$target/loom" -p executive-core --lib --)
        local names
        names=$("${models[@]}" --list | sed -n "s/^\(models::$1::.*\): test$/\1/p" | grep -F "$(printf '%s\n' "${@:2}")") || return
        # shellcheck disable=SC2086 # it is a list of names
        "${models[@]}" --exact $names
        ;;
    esac
}

# The rows of the first table that are wanted: file, function and test.
rows() {
    local file name test
    while IFS='|' read -r _ file name test _; do
        file=${file// /} name=${name//[\` ]/} test=$(sed 's/^ *`//; s/` *$//' <<<"$test")
        if wanted "$file $name $test"; then echo "$file $name $test"; fi
    done < <(grep -E '^\| [a-z/]+\.rs \|' "$root/docs/exercises.md")
}

if [[ $mode == try ]]; then
    cd "$root"
    while read -r _ name test; do
        if [[ $name == "${words[0]-}" ]]; then
            # shellcheck disable=SC2086 # it is a list of words
            ask $test && exit
            exit 1
        fi
    done < <(words=() && rows)
    echo "no exercise is called '${words[0]-}'; there are: $(words=() && rows | cut -d' ' -f2 | tr '\n' ' ')" && exit 2
fi

target=$target/exercises
copy tests/scenarios kernel kernel/executive
cp -r "$root/.cargo" "$work"
cp "$root/tests/fuzz.sh" "$work/tests"
cd "$work"
export CARGO_NET_OFFLINE=true

# Changes the body of the one function of this name; braces within a body pair up.
change() { # FILE FUNCTION PERL: on $_, the body with its braces
    perl -0pi -e 'BEGIN { ($name, $change) = splice @ARGV, 0, 2 }
        s/(\bfn \Q$name\E\b[^{]*?)(\{(?:[^{}]++|(?2))*\})/$1 . changed($2)/e;
        sub changed { local $_ = shift; eval $change; die $@ if $@; $_ }' "$2" "$3" "$src/$1"
}

answers() { # KIND WORDS...: the status is that of the test
    RUST_BACKTRACE=0 timeout 300 bash -c "$(declare -f ask); target='$target'; ask $*" >log 2>&1
}

# Is this noticed?
notice() { # FILE FUNCTION TEST NAME PERL
    local status=0 at
    at=$(place "$1")
    change "$at" "$2" "$5"
    if cmp -s "$src/$at" "clean/$at"; then
        miss "STALE " "$1" "$2: $4" "changes nothing"
        return
    fi
    answers "$3" || status=$?
    if ((status == 0)); then
        miss MISSED "$1" "$2: $4" "$3 passes"
    elif grep -q '^error: could not compile' log; then
        miss "STALE " "$1" "$2: $4" "does not compile"
        grep -m2 -A6 '^error' log
    elif ((status == 124)); then
        miss MISSED "$1" "$2: $4" "$3 gives no answer"
    else
        echo "ok     $1: $2: $4: $3 fails"
    fi
    cp "clean/$at" "$src/$at"
    touch "$src/$at"
}

# What somebody might write, and should not get away with: the function's body, changed so.
wrong_names=() wrong_changes=()
wrong() { # FUNCTION NAME PERL
    wrong_names+=("$1 $2")
    wrong_changes+=("$3")
}

wrong dequeue "takes a select that was won elsewhere" 's/!w\.is_select \|\| claim\(w\.g\)/true/'
wrong dequeue "claims, and does not look whether it could" 's/claim\(w\.g\)/{ claim(w.g); true }/'
wrong dequeue "claims everybody" 's/!w\.is_select \|\| //'
wrong dequeue "ends at a select that was won elsewhere" 's/(return Some\(w\);\s*\})/$1 return None;/'
wrong dequeue "leaves the next one its link back" 's/next\.prev\.set\(null\(\)\);//'
wrong dequeue "leaves it marked as queued" 's/w\.state\.set\(State::Off\);//'
wrong dequeue "takes the last" 's/.*/{ loop { let w = self.last()?; self.unlink(w); if !w.is_select || claim(w.g) { return Some(w); } } }/s'

wrong sift_down "has two children" 's/4 \* at \+ 1\.\.\(4 \* at \+ 5\)/2 * at + 1..(2 * at + 3)/'
wrong sift_down "overlooks the last child" 's/4 \* at \+ 5/4 * at + 4/'
wrong sift_down "overlooks the first child" 's/4 \* at \+ 1/4 * at + 2/'
wrong sift_down "goes down one level" 's/(at = least;)/$1 break;/'
wrong sift_down "takes any child that is less" 's/\.min_by_key\(\|&c\| heap\[c\]\.when\)/.into_iter().find(|&c| heap[c].when < entry.when)/'
wrong sift_down "tells the others no new place" 's/place\(heap, at, heap\[least\]\)/heap[at] = heap[least]/'
wrong sift_down "tells it no new place" 's/place\(heap, at, entry\)/heap[at] = entry/'

wrong wait "unlocks, and then parks" \
    's/here\.wait\(WaitReason::Barrier\)/drop(here); executive_core::wait::park(executive_core::wait::may_park(), WaitReason::Barrier, |_| None)/'
wrong wait "wakes those of the next round too" \
    's/here\.ready_all\(\)/drop(here); while { let mut here = self.here.lock(); let first = here.take_first(); let any = first.is_some(); here.ready(first); any } {}/'
wrong wait "begins no second round" 's/\*here = 0;//'
wrong wait "wakes one" 's/ready_all/ready_first/'
wrong wait "has one more to come" 's/\*here < self\.n/*here <= self.n/'
wrong wait "tells everybody that it was the last" 's/return false/return true/'

wrong gogo "pops r12 and r13 in the wrong order" 's/"pop r13",\s*"pop r12",/"pop r12", "pop r13",/'
wrong gogo "pops r14 and r15 in the wrong order" 's/"pop r15",\s*"pop r14",/"pop r14", "pop r15",/'
wrong gogo "pops rbx and rbp in the wrong order" 's/"pop rbx",\s*"pop rbp",/"pop rbp", "pop rbx",/'
wrong gogo "leaves rbx as it is" 's/"pop rbx"/"add rsp, 8"/'
wrong gogo "does not say who runs" 's/"mov gs:\[\{g\}\], rdi"/"\/* {g} *\/"/'

wrong yield_now "does nothing" 's/.*/{}/s'
wrong yield_now "runs next" 's/let queued =\s.*?;/super::wake::put_next(g); let queued = true;/s'
wrong yield_now "is lost when there is no room" 's/\(!queued\)\.then_some\(g\)/None/'
wrong yield_now "is runnable before it has left its stack" \
    's/g\.set_status.*?;/crate::tools::trace::record(Event::Yield, || 0);/s; s/&& m\.p\.runq\(\)\.put_in_room\(g\)//;
     s/(may_park\(\)\.leave)/crate::tools::percpu::pin(); let g = crate::nouns::g::getg(); g.set_status(Status::Running, Status::Runnable, "yield"); let _ = m().p.runq().put_in_room(g); crate::tools::percpu::unpin(); $1/'

wrong wakeup "tells the machine before it sets the word" \
    's/(let first = )/machine.wake(&self.word); $1/; s/if first \{.*?\}//s'
wrong wakeup "releases nothing" 's/Ordering::AcqRel/Ordering::Relaxed/'
wrong wakeup "looks, and then sets the word" \
    's/self\.word\.swap\(WOKEN, Ordering::AcqRel\) == CLEAR/{ let was = self.word.load(Ordering::Acquire); self.word.store(WOKEN, Ordering::Release); was == CLEAR }/'
wrong wakeup "leaves the machine out" 's/machine\.wake\(&self\.word\)/let _ = machine/'

wrong end "looks, and then sets the word" \
    's/self\.0\.swap\(Mark\(DONE\), Ordering::AcqRel\)/{ let found = self.0.load(Ordering::Acquire); self.0.store(Mark(DONE), Ordering::Release); found }/'
wrong end "releases no result" 's/AcqRel/Acquire/'
wrong end "does not see what the other did" 's/AcqRel/Release/'
wrong end "leaves a detached one to its handle" 's/Mark\(DETACHED\) => Ended::Detached/Mark(DETACHED) => Ended::NotYetAwaited/'

wrong wake_waiter "still counts the one that it wakes" 's/\(old - WAITER\) \| WOKEN/old | WOKEN/'
wrong wake_waiter "changes the word by a store" 's/self\.swap\(old, (.*?)\) \{/{ self.0.store($1, Ordering::Relaxed); true } {/'
wrong wake_waiter "changes the word and wakes nobody" 's/queue\.release\(\);/let _ = queue;/'

wrong leave "lets the writer in whoever leaves" 's/== 1$/!= 0/m'
wrong leave "looks for a writer before it leaves" \
    's/.*/{ let w = (self.readers.load(Ordering::Acquire) as i32) < 0; self.readers.fetch_sub(1, Ordering::Release); w && self.leaving.fetch_sub(1, Ordering::AcqRel) == 1 }/s'
wrong leave "does not count below zero" \
    's/self\.leaving\.fetch_sub\(1, Ordering::AcqRel\) == 1/self.leaving.try_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(1)) == Ok(1)/'
wrong leave "releases nothing" 's/fetch_sub\(1, Ordering::Release\)/fetch_sub(1, Ordering::Relaxed)/'
wrong leave "has not seen the others leave" 's/AcqRel/Release/g'

wrong grab_into "stores head" 's/q\.head\s*\.compare_exchange\(head, (.*?), Ordering::AcqRel.*?\)\s*\.is_ok\(\)/{ q.head.store($1, Ordering::Release); true }/'
wrong grab_into "owns them first, and reads them then" \
    's/(for i in 0\.\.n \{.*?\n            \})(\s*if q\.head.*?\{)/$2$1/s'
wrong grab_into "reads tail without acquire" 's/q\.tail\.load\(Ordering::Acquire\)/q.tail.load(Ordering::Relaxed)/'
wrong grab_into "takes one more" 's/let n = (.*?);/let n = $1 + 1;/'
wrong grab_into "begins at the second" 's/q\.slot\(head\.wrapping_add\(i\)\)/q.slot(head.wrapping_add(i + 1))/'

wrong stop "does not look again" 's/!self\.has_work\(off, here\) \{/true {/'
wrong stop "looks again before it is idle" 's/(if off \{)/let work = self.has_work(off, here); $1/; s/!self\.has_work\(off, here\) \{/!work {/'
wrong stop "looks again only if it searched" 's/!self\.has_work\(off, here\) \{/!searching || !self.has_work(off, here) {/'
wrong stop "counts itself though it was claimed" 's/if self\.take_back\(cpu\) \{/self.take_back(cpu); if true {/'
wrong stop "naps for ever" 's/self\.napping\.store\(0, Ordering::Release\);//'

if [[ $mode == time ]]; then
    # Once to build what never changes; then with the function changed, as whoever does the exercise would.
    TIMEFORMAT='%3U %3S %3R'
    while read -r file name test; do
        tried=$((tried + 1))
        answers "$test" || { miss "FAILS " "$file" "$name" "$test fails as it is" && continue; }
        edit='s/\{/{ core::hint::black_box(());/'
        [[ $file != switch.rs ]] || edit='s/\{/{ "nop",/'
        change "$file" "$name" "$edit"
        read -r user system real < <({ time answers "$test"; } 2>&1)
        printf '%-50s %5.1f s of CPU, %5.1f s by the clock\n' "$name: $test" "$(bc <<<"$user + $system")" "$real"
        [[ $(bc <<<"$user + $system <= 5") == 1 ]] || miss "SLOW  " "$file" "$name" "more than 5 s of CPU"
        cp "clean/$file" "$src/$file"
        touch "$src/$file"
    done < <(rows)
    summary exercises
    exit
fi

while read -r file name test; do
    tried=$((tried + 1))
    if ! answers "$test"; then
        miss "FAILS " "$file" "$name" "$test fails as it is"
        tail -5 log
        continue
    fi
    grep -Eq '[1-9][0-9]* passed|no failure' log || miss "STALE " "$file" "$name" "$test runs nothing"
    empty='$_ = "{ todo!() }"'
    [[ $file != switch.rs ]] || empty='$_ = q({ "ud2", "/* {g} {sp} */", g = const CURRENT, sp = const SP })'
    notice "$file" "$name" "$test" "empty" "$empty"
    wrongs=0
    for i in "${!wrong_names[@]}"; do
        [[ ${wrong_names[i]} == "$name "* ]] || continue
        wrongs=$((wrongs + 1))
        notice "$file" "$name" "$test" "${wrong_names[i]#* }" "${wrong_changes[i]}"
    done
    ((wrongs >= 2)) || miss "STALE " "$file" "$name" "has $wrongs wrong bodies: two or more are wanted"
done < <(rows)
summary exercises
