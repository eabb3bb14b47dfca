#!/usr/bin/env bash
# Can the models fail? Each line below breaks the executive in one place, in a copy, and names the model that must notice (or the
# unit test, or the scenario under seeded schedules, or the hosted scenario or death).
#
#   tests/mutations.sh [WORD...]          all of them (some minutes), or those whose line contains one of the words
#   tests/mutations.sh --list [WORD...]   tells them: file, what is broken, who notices
#   tests/mutations.sh --show NAME        one of them: keeps the broken copy, and prints each step of the order in which the model fails
#
# tests/lib/mutations.sh tells how.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
if [[ ${1-} == --show ]]; then
    show=${2-}
    set --
    export LOOM_LOG=trace LOOM_LOCATION=1
fi
source "$root/tests/lib/mutations.sh"

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}/mutations
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_DEBUG=0 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
export RUSTFLAGS="--cfg loom -Awarnings" LOOM_MAX_PREEMPTIONS=${LOOM_MAX_PREEMPTIONS:-3} RUST_BACKTRACE=0
copy tests/scenarios kernel kernel/executive
cp "$root/tests/fuzz.sh" "$work/tests"

models() { # [ARGUMENT...]
    cargo test -q --offline --manifest-path "$work/Cargo.toml" -p executive-core --release --lib "$@"
}

units() { # [ARGUMENT...]
    RUSTFLAGS=-Awarnings CARGO_TARGET_DIR=$CARGO_TARGET_DIR/unit \
        cargo test -q --offline --manifest-path "$work/Cargo.toml" -p executive-core --lib "$@"
}

hosted() { # [ARGUMENT...]
    RUSTFLAGS="-Cforce-frame-pointers=yes -Awarnings" CARGO_TARGET_DIR=$CARGO_TARGET_DIR/hosted CARGO_PROFILE_DEV_DEBUG=0 \
        cargo test -q --offline --manifest-path "$work/Cargo.toml" -p hosted --test scenarios "$@"
}

builds() { # TEST
    case $1 in
    unit) units --no-run ;;
    hosted) hosted --no-run ;;
    fuzz)
        RUSTFLAGS="-Cforce-frame-pointers=yes --cfg fuzz -Awarnings " cargo build -q --offline --manifest-path "$work/Cargo.toml" \
            --target-dir "$CARGO_TARGET_DIR/fuzz" -p hosted --example fuzz
        ;;
    *) models --no-run ;;
    esac
}

passes() { # TEST MODEL
    case $1 in
    unit) timeout 120 bash -c "$(declare -f units); work='$work'; units '$2'" ;;
    hosted) timeout 120 bash -c "$(declare -f hosted); work='$work'; hosted -- --cpus 1,2 '$2'" ;;
    fuzz) RUSTFLAGS='' SCENARIO=$2 CARGO_NET_OFFLINE=true "$work/tests/fuzz.sh" 20 ;;
    *) timeout 120 bash -c "$(declare -f models); work='$work'; models -- --exact 'models::$1::$2'" ;;
    esac
}

# For --show. What loom says of each step is long: printed are those that change or read something.
keep() { # FILE WHO
    local shown=$CARGO_TARGET_DIR/shown
    rm -rf "$shown"
    cp -r "$work" "$shown"
    echo
    grep -Ev '::new |branch|synchronize$|^warning|^ *-->|^ *\||^[0-9 ]*\||^ *= |^help|^$|ERROR iter' "$shown/log" | sed -E 's/(TRACE|INFO) iter\{[0-9]+\}:?//; s/loom::rt:*//; s/state=Ref<loom::rt::([a-z_]+)::State>/\1 /' || true
    echo
    diff -u "$work/clean/$1" "$src/$1" | sed 1,2d || true
    echo
    echo "The broken copy is $shown/kernel/executive/$1, and all that was said is in $shown/log."
}

# --- the idle protocol
mutation "no fence before the recheck" idle.rs idle the_last_searcher_finds_it \
    's/full_fence\(\); \/\/ partner: the fences in `wakep`//'
mutation "no fence after publishing" idle.rs idle more_than_a_hand_over_wakes_the_napper \
    's/(fn wakep.*?\n)\s*full_fence\(\);/$1/s'
mutation "no fence after a hand-over" idle.rs idle the_last_searcher_finds_it \
    's/full_fence_after_exchange\(\); (\/\/ partner: the fence in `go_idle`)/$1/'
mutation "runnexts are never rechecked" idle.rs idle the_last_searcher_finds_it \
    's/here\.has_work\(self\.napping\.load\(Ordering::Relaxed\) == 0\)/here.has_work(false)/'
mutation "a nap never ends for others" idle.rs idle the_napper_looks \
    's/self\.napping\.store\(0, Ordering::Release\);//'
mutation "the napper has looked before it says so" idle.rs idle the_napper_looks \
    's/(if naps \{.*?)self\.napping\.store\(0, Ordering::Release\);/$1/s; s/(pub fn found_work\(&self, .*?\) -> bool \{)/$1\n        self.napping.store(0, Ordering::Release);/'
mutation "whether there is a napper is asked too early" idle.rs idle who_sleeps_beside_a_napper_hides_nothing \
    's/(\s*)(if off \{\n)/$1let early = self.napping.load(Ordering::Relaxed) == 0;$1$2/; s/if !self\.has_work\(off, here\) \{/if !here.has_own_work() && !here.has_work(early) {/'
mutation "any work is left to a napper" idle.rs idle more_than_a_hand_over_wakes_the_napper \
    's/(fn wants_a_searcher.*?\n\s*)self/$1self.napping.load(Ordering::Relaxed) == 0 \&\& self/s'
mutation "only who searched rechecks (Go 1.16)" idle.rs idle who_never_searched_finds_it \
    's/if !self\.has_work\(off, here\) \{/if !searching || !self.has_work(off, here) {/'
mutation "no second look after counting for a moment" idle.rs idle a_searcher_for_a_moment_looks_twice \
    's/if self\.idle\.iter\(\)\.all\(.*?\) == 0\)/if true/'
mutation "no fence before the second look" idle.rs idle a_searcher_for_a_moment_looks_twice \
    's/full_fence\(\); (\/\/ partner: the fence in `go_idle`\n\s*if self\.idle\.iter\(\)\.all)/$1/'
mutation "a CPU that was claimed counts itself too" idle.rs idle taken_back_or_claimed \
    's/if self\.take_back\(cpu\) \{/self.take_back(cpu);\n        if true {/'
mutation "the last searcher that finds work wakes nobody" idle.rs idle a_searcher_that_finds_wakes_the_next \
    's/(fn found_work.*?fetch_sub\(1, Ordering::AcqRel\)) != 1/$1 != 0/s'
mutation "who found work has looked for more before it stops counting" idle.rs idle a_searcher_that_finds_wakes_the_next \
    's/(fn found_work.*?\{\n)(.*?)(        )(self\.others_have_work\(.*?\n)/$1$3let more = $4$3;\n$2$3more\n/s'
mutation "who found work looks for more without a fence" idle.rs idle a_searcher_that_finds_wakes_the_next \
    's/full_fence_after_exchange\(\); (\/\/ partner: the fences in `wakep`)/$1/'
mutation "a bit is taken without release" idle.rs idle the_one_cpu_that_can_is_told \
    's/fetch_and\(!bit, Ordering::AcqRel\)/fetch_and(!bit, Ordering::Acquire)/'
mutation "a bit is taken without acquire" idle.rs idle a_claimed_cpu_s_things_are_the_claimer_s \
    's/fetch_and\(!bit, Ordering::AcqRel\)/fetch_and(!bit, Ordering::Release)/'
mutation "wake_this counts for a moment" idle.rs idle wanting_a_busy_cpu_hides_no_work \
    's/(let taken = self\.take_back\(cpu\);\n\s*)if taken \{(\n\s*)(self\.searching\.fetch_)add(.*?\n)/self.searching.fetch_add(1, Ordering::AcqRel);\n        $1if !taken {$2$3sub$4/'
mutation "who resigns wakes nobody" idle.rs idle who_counted_on_a_cpu_that_resigns_is_heard \
    's/(fn resign.*?)self\.wakep\(\)/$1None/s'
mutation "who resigns has looked before it stops counting" idle.rs idle who_counted_on_a_cpu_that_resigns_is_heard \
    's/(fn resign.*?\{\n)(.*?)(        self\.wakep\(\))/$1        let woken = self.wakep();\n$2        woken/s'
mutation "what is handed over is told to nobody" idle.rs idle what_is_handed_over_is_found \
    's/(fn resign.*?)self\.wakep\(\)/$1if searching { self.wakep() } else { None }/s'
mutation "who goes to sleep does not look whether it is switched off or on" idle.rs idle an_idle_cpu_hears_that_it_is_switched_off \
    's/here\.is_off\(\) != off\s*\|\| //'
mutation "who is switched off is never found asleep" idle.rs idle a_cpu_hears_that_it_is_switched_on \
    's/ \|\| self\.take_of\(&self\.off, ONE_OFF, cpu\)//'
mutation "who is switched off sleeps as an idle one" idle.rs idle a_cpu_that_is_switched_off_wakes_for_its_own \
    's/self\.sleeps\(&self\.off, ONE_OFF, cpu\)/self.sleeps(\&self.idle, ONE_IDLE, cpu)/'
mutation "who is switched off looks for any work" idle.rs idle a_cpu_that_is_switched_off_wakes_for_its_own \
    's/\|\| !off && self\.others_have_work/|| self.others_have_work/'
mutation "who is switched off is not counted as asleep" idle.rs idle a_cpu_that_is_switched_off_hides_no_deadlock \
    's/const ONE_OFF: u64 = 1 << 16;\nconst ONE_IDLE: u64 = 1 \+ ONE_OFF;/const ONE_OFF: u64 = 0;\nconst ONE_IDLE: u64 = 1 + (1 << 16);/'
mutation "the stamp is not looked at again" idle.rs idle an_interrupt_is_no_deadlock \
    's/ && self\.count_and_epoch\.load\(Ordering::Acquire\) == before//'
mutation "going idle is counted by load and store" idle.rs idle the_last_to_sleep_finds_a_deadlock \
    's/self\.count_and_epoch\.fetch_add\(one, Ordering::AcqRel\)/self.count_and_epoch.store(self.count_and_epoch.load(Ordering::Acquire) + one, Ordering::Release)/'
mutation "expected no more, relaxed" arrivals.rs idle an_interrupt_is_no_deadlock \
    's/(fn expect_no_more.*?fetch_sub\(1, Ordering::)Release/$1Relaxed/s'
mutation "nobody outside any more, relaxed" arrivals.rs idle work_from_outside_is_no_deadlock \
    's/(fn expect_no_more.*?fetch_sub\(1, Ordering::)Release/$1Relaxed/s'
mutation "whether any is expected, relaxed" arrivals.rs idle work_from_outside_is_no_deadlock \
    's/self\.count\.load\(Ordering::Acquire\)/self.count.load(Ordering::Relaxed)/'
mutation "no fence before it looks for who slept" idle.rs idle who_goes_outside_leaves_no_sleeper \
    's/(pub fn wakep\(&self\).*?\n)\s*full_fence\(\);.*?\n/$1/s'
mutation "emptied without release" arrivals.rs idle an_interrupt_is_no_deadlock \
    's/swap\(None, Ordering::AcqRel\)/swap(None, Ordering::Acquire)/'

# --- the stealing policy
mutation "a CPU is passed over" steal.rs idle the_last_searcher_finds_it \
    's/(thief\.busy\(\))/$1.skip(1)/'
mutation "runnexts are not looked at" steal.rs idle the_last_searcher_finds_it \
    's/if round < STEAL_ROUNDS \{/if true {/'
mutation "rings are not looked at" steal.rs idle a_searcher_that_finds_wakes_the_next \
    's/if let Some\(t\) = (thief\.mine\(\)\.steal_from)/if false \&\& let Some(t) = $1/'
mutation "what was left to its P is forgotten" steal.rs unit a_runnext_is_left_to_those_who_talk \
    's/found = Found::HandOvers;//'
mutation "what a timer readied is left" steal.rs unit what_a_timer_readies_is_taken \
    's/if thief\.ready_due\(victim\)/if false/'
mutation "what arrived is left" steal.rs idle what_arrives_on_a_busy_cpu_is_found \
    's/if thief\.ready_due\(victim\)/if false/'

# --- arrivals
mutation "pushed without release" atomic.rs arrivals each_comes_through_once \
    's/(replace\(first, Some\(t\), )Ordering::Release/$1Ordering::Relaxed/'
mutation "taken without acquire" arrivals.rs arrivals each_comes_through_once \
    's/swap\(None, Ordering::AcqRel\)/swap(None, Ordering::Release)/'
mutation "taken by load and store" arrivals.rs arrivals each_comes_through_once \
    's/self\.head\.swap\(None, Ordering::AcqRel\)/{\n            let all = self.head.load(Ordering::Acquire);\n            self.head.store(None, Ordering::Release);\n            all\n        }/'

# --- the note
mutation "woken without release" note.rs note a_wakeup_is_not_lost \
    's/swap\(WOKEN, Ordering::AcqRel\)/swap(WOKEN, Ordering::Relaxed)/'
mutation "woken seen without acquire" note.rs note a_wakeup_is_not_lost \
    's/load\(Ordering::Acquire\) == WOKEN/load(Ordering::Relaxed) == WOKEN/'
mutation "the machine is told before the word" note.rs note a_wakeup_is_not_lost \
    's/(let first = self\.word\.swap)/machine.wake(&self.word);\n        $1/; s/if first \{\n\s*machine\.wake\(&self\.word\);\n\s*\}//'
mutation "woken by load and store" note.rs note one_waker_is_told \
    's/self\.word\.swap\(WOKEN, Ordering::AcqRel\) == CLEAR/{\n            let was = self.word.load(Ordering::Acquire);\n            self.word.store(WOKEN, Ordering::Release);\n            was == CLEAR\n        }/'

# --- the run queue
mutation "tail published without release" runq.rs runq each_runs_once \
    's/(q\.tail\.store\(tail\.wrapping_add\(1\), )Ordering::Release/$1Ordering::Relaxed/'
mutation "tail read without acquire" runq.rs runq each_runs_once \
    's/q\.tail\.load\(Ordering::Acquire\)/q.tail.load(Ordering::Relaxed)/'
mutation "a thief stores head" runq.rs runq each_runs_once \
    's/q\.head\s*\.compare_exchange\(head, head\.wrapping_add\(n\), .*?\)\s*\.is_ok\(\)/{\n                q.head.store(head.wrapping_add(n), Ordering::Release);\n                true\n            }/'
mutation "two thieves store head" runq.rs runq two_thieves_share \
    's/q\.head\s*\.compare_exchange\(head, head\.wrapping_add\(n\), .*?\)\s*\.is_ok\(\)/{\n                q.head.store(head.wrapping_add(n), Ordering::Release);\n                true\n            }/'
mutation "the owner stores head" runq.rs runq each_runs_once \
    's/q\.head\.compare_exchange\(from, to, .*?\)\.is_ok\(\)/q.head.store(to, Ordering::Release);\n        true/'
mutation "a spill stores head" runq.rs runq a_full_ring_spills \
    's/q\.head\s*\.compare_exchange\(head, head\.wrapping_add\(N \/ 2\), .*?\)\s*\.ok\(\)\?/q.head.store(head.wrapping_add(N \/ 2), Ordering::Release)/'
mutation "a ring of N takes one more" runq.rs runq a_full_ring_spills \
    's/tail\.wrapping_sub\(head\) < N/tail.wrapping_sub(head) <= N/'
mutation "a slot is read after it was given back" runq.rs runq slots_are_used_again \
    's/(for i in 0\.\.n \{\n.*?\n            \}\n)(\s*if q\.head\s*\.compare_exchange.*?\{\n)/$2$1/s'
mutation "a thief takes runnext by load and store" runq.rs runq runnext_has_one_winner \
    's/(fn take_runnext.*?)self\.0\.runnext\.replace\(.*?\)\n/$1self.0.runnext.store(None, Ordering::Release);\n        core::ptr::eq(next, next)\n/s'
mutation "runnext published without release" runq.rs runq runnext_has_one_winner \
    's/runnext\.swap\(Some\(t\), Ordering::AcqRel\)/runnext.swap(Some(t), Ordering::Relaxed)/'
mutation "runnext taken without acquire" runq.rs runq runnext_has_one_winner \
    's/(fn take_runnext.*?)Ordering::AcqRel/$1Ordering::Release/s'
mutation "is_empty reads tail once" runq.rs runq never_empty_on_the_way \
    's/if tail == self\.tail\.load\(Ordering::Acquire\)/if true/'
mutation "is_empty reads runnext without acquire" runq.rs runq never_empty_on_the_way \
    's/let next = self\.runnext\.load\(Ordering::Acquire\)/let next = self.runnext.load(Ordering::Relaxed)/'

# --- what others see of a g
mutation "the number is not looked at again" g.rs seen what_is_seen_is_one_goroutine_s \
    's/ \|\| self\.id\.load\(Ordering::Relaxed\) != id//'
mutation "its number stays while it is nobody's" g.rs seen what_is_seen_is_one_goroutine_s \
    's/self\.id\.store\(0, Ordering::Relaxed\);//'
mutation "born without release" g.rs seen what_is_seen_is_one_goroutine_s \
    's/self\.id\.store\(id, Ordering::Release\)/self.id.store(id, Ordering::Relaxed)/'
mutation "the number is read without acquire" g.rs seen what_is_seen_is_one_goroutine_s \
    's/let id = self\.id\.load\(Ordering::Acquire\)/let id = self.id.load(Ordering::Relaxed)/'
mutation "a name is given without release" g.rs seen what_is_seen_is_one_goroutine_s \
    's/(self\.name_len\.store\(.*?)Ordering::Release/$1Ordering::Relaxed/'
mutation "a name is read without acquire" g.rs seen what_is_seen_is_one_goroutine_s \
    's/(self\.name_len\.load\()Ordering::Acquire/$1Ordering::Relaxed/'
mutation "a stack is read without acquire" g.rs seen what_is_seen_is_one_goroutine_s \
    's/(self\.stack_hi\.load\()Ordering::Acquire/$1Ordering::Relaxed/'

# --- a future's goroutine against its wakers
mutation "a wake during the poll is forgotten" wakeword.rs wake each_waker_is_heard \
    's/\(word & WOKEN == 0\)\.then_some\(word \| marks\)/Some(word & !MARKS | marks)/'
mutation "parked without release" wakeword.rs wake each_waker_is_heard \
    's/(compare_exchange_weak\(was, word, )Ordering::AcqRel/$1Ordering::Acquire/'
mutation "a future is woken without acquire" wakeword.rs wake each_waker_is_heard \
    's/fetch_or\(WOKEN, Ordering::AcqRel\)/fetch_or(WOKEN, Ordering::Release)/'
mutation "a future is woken without release" wakeword.rs wake each_waker_is_heard \
    's/fetch_or\(WOKEN, Ordering::AcqRel\)/fetch_or(WOKEN, Ordering::Acquire)/'
mutation "a poll begins without acquire" wakeword.rs wake each_waker_is_heard \
    's/fetch_and\(!MARKS, Ordering::AcqRel\)/fetch_and(!MARKS, Ordering::Release)/'
mutation "a poll forgets the wakers" wakeword.rs wake it_is_expected_while_one_is_kept \
    's/self\.0\.fetch_and\(!MARKS, Ordering::AcqRel\)/self.0.swap(0, Ordering::AcqRel)/'
mutation "expected when it has parked already" wakeword.rs wake each_waker_is_heard \
    's/            if begins \{\n\s*expected\.expect\(\);\n\s*\}\n(.*?)Ok\(_\) => return true/$1Ok(_) => {\n                    if begins {\n                        expected.expect();\n                    }\n                    return true;\n                }/s; s/(Err\(now\) => was = now,\n\s*\}\n)\s*if begins \{.*?\n            \}\n/$1/s'
mutation "expected in vain" wakeword.rs wake each_waker_is_heard \
    's/(Err\(now\) => was = now,\n\s*\}\n)\s*if begins \{.*?\n            \}\n/$1/s'
mutation "a clone for one that waits is not expected" wakeword.rs wake a_lent_waker_is_as_good \
    's/self\.exchange\(expected, \|word\| Some\(word \+ WAKER\)\)/self.0.fetch_add(WAKER, Ordering::AcqRel)/'
mutation "a lent waker ends what did not begin" wakeword.rs wake a_lent_waker_is_as_good \
    's/if parked && !is_expected\(was\) \{/if false {/'
mutation "each waker that is dropped was the last" wakeword.rs wake it_is_expected_while_one_is_kept \
    's/ && !is_expected\(was - WAKER\)//'
mutation "a system goroutine is expected" wakeword.rs wake a_system_goroutine_is_not_expected \
    's/\{ PARKED \| SYSTEM \}/{ PARKED }/'
mutation "a system goroutine is handed over uncounted" wakeword.rs wake a_system_goroutine_is_not_expected \
    's/parked && !is_expected\(was\)/parked \&\& was < WAKER/'
mutation "the last waker goes without a word" wakeword.rs wake the_last_waker_leaves_no_sleeper \
    's/(expect_no_more\(\);\n\s*\}\n\s*)last\n/$1false\n/'
mutation "a waker is dropped without release" wakeword.rs wake work_before_the_last_drop_is_no_deadlock \
    's/fetch_sub\(WAKER, Ordering::AcqRel\)/fetch_sub(WAKER, Ordering::Acquire)/'

# --- park against ready: the joiner's word and the line's
mutation "the result is not released" joiner.rs park join_meets_the_end \
    's/swap\(Mark\(DONE\), Ordering::AcqRel\)/swap(Mark(DONE), Ordering::Acquire)/'
mutation "who waits is not acquired" joiner.rs park join_meets_the_end \
    's/swap\(Mark\(DONE\), Ordering::AcqRel\)/swap(Mark(DONE), Ordering::Release)/'
mutation "who waits is not released" joiner.rs park join_meets_the_end \
    's/(Ref\(me\), )Ordering::AcqRel/$1Ordering::Acquire/'
mutation "told that it has ended, relaxed" joiner.rs park join_meets_the_end \
    's/(Ref\(me\), Ordering::AcqRel, )Ordering::Acquire/$1Ordering::Relaxed/'
mutation "has_ended, relaxed" joiner.rs park join_meets_the_end \
    's/load\(Ordering::Acquire\), Mark\(DONE\)/load(Ordering::Relaxed), Mark(DONE)/'
mutation "the end by load and store" joiner.rs park join_meets_the_end \
    's/self\.0\.swap\(Mark\(DONE\), Ordering::AcqRel\)/{\n            let found = self.0.load(Ordering::Acquire);\n            self.0.store(Mark(DONE), Ordering::Release);\n            found\n        }/'
mutation "detach of an ended one, relaxed" joiner.rs park detach_meets_the_end \
    's/(Mark\(DETACHED\), Ordering::AcqRel, )Ordering::Acquire/$1Ordering::Relaxed/'
mutation "detach by load and store" joiner.rs park detach_meets_the_end \
    's/!self\.0\.replace\(Mark\(EMPTY\), Mark\(DETACHED\), .*?\)\n/{\n            let ended = self.has_ended();\n            self.0.store(Mark(DETACHED), Ordering::Release);\n            ended\n        }\n/'
mutation "the end does not see a late detach" joiner.rs park a_late_detach_is_seen_at_the_end \
    's/Mark\(DETACHED\) => Ended::Detached/Mark(DETACHED) => Ended::NotYetAwaited/'
mutation "an interrupt without a waiter is forgotten" lineword.rs park an_interrupt_before_the_wait_is_not_lost \
    's/let then = if waits\.is_some\(\) \{ Mark\(EMPTY\) \} else \{ Mark\(PENDING\) \}/let then = Mark(EMPTY)/'
mutation "raised without release" lineword.rs park an_interrupt_before_the_wait_is_not_lost \
    's/replace\(was, then, Ordering::AcqRel/replace(was, then, Ordering::Acquire/'
mutation "raised without acquire" lineword.rs park an_interrupt_before_the_wait_is_not_lost \
    's/replace\(was, then, Ordering::AcqRel/replace(was, then, Ordering::Release/'
mutation "a pending one is taken without acquire" lineword.rs park an_interrupt_before_the_wait_is_not_lost \
    's/(Mark\(PENDING\), Mark\(EMPTY\), )Ordering::Acquire/$1Ordering::Relaxed/'
mutation "who waits for an interrupt is not released" lineword.rs park an_interrupt_before_the_wait_is_not_lost \
    's/(Mark\(EMPTY\), Ref\(me\), )Ordering::AcqRel/$1Ordering::Acquire/'
mutation "the handler leaves the waiter there" lineword.rs park an_interrupt_readies_once \
    's/let then = if waits\.is_some\(\) \{ Mark\(EMPTY\) \}/let then = if let Some(me) = waits { Ref(me) }/'

# --- a waiter claimed by two selects
mutation "nobody claims" waitq.rs select one_of_two_wins \
    's/!w\.is_select \|\| claim\(w\.g\)/true/'
mutation "claimed by load and store" waitq.rs select one_of_two_wins \
    's/g\.select_done\.compare_exchange\(OPEN, DONE, .*?\)\.is_ok\(\)/{\n        let free = g.select_done.load(Ordering::Acquire) == OPEN;\n        g.select_done.store(1, Ordering::Release);\n        free\n    }/'
mutation "a lost claim ends the search" waitq.rs select a_dead_select_is_passed_over \
    's/(if !w\.is_select \|\| claim\(w\.g\) \{\n\s*return Some\(w\);\n\s*\})/$1\n            return None;/'

# --- a timer fired against removed
fire='s/if let Some\(again\) = fire\(timer\.as_ptr\(\), now\) \{/drop(heap);\n                    let again = fire(timer.as_ptr(), now);\n                    heap = self.heap.lock();\n                    if let Some(again) = again {/'
mutation "fired outside of the lock" timers.rs timers removed_means_over "$fire"
mutation "a ticker fired outside of the lock" timers.rs timers a_stopped_ticker_stays_stopped "$fire"
mutation "a fired timer keeps its place" timers.rs timers removed_means_over \
    's/(fn remove_at.*?)unsafe \{ heap\[at\]\.timer\.as_ref\(\) \}\.index\.set\(OUT\);/$1/s'
mutation "taken out after it fired, outside of the lock" timers.rs timers it_fires_once \
    's/remove_at\(&mut heap, 0\);\n(\s*fired \+= 1;)/$1/;'" $fire"'; s/(let again = fire\(timer\.as_ptr\(\), now\);\n\s*heap = self\.heap\.lock\(\);)/$1\n                    remove_at(&mut heap, 0);/'
mutation "next published without release" timers.rs timers who_sees_no_timer_sees_that_it_fired \
    's/(self\.next\.store\(.*?, )Ordering::Release/$1Ordering::Relaxed/'
mutation "next read without acquire" timers.rs timers who_sees_no_timer_sees_that_it_fired \
    's/self\.next\.load\(Ordering::Acquire\)/self.next.load(Ordering::Relaxed)/'

mutation "a timer that was moved is looked for where it was" timers.rs timers a_timer_on_its_way_is_found \
    's/if timer\.cpu\(\) != cpu \{\n\s*return None;\n\s*\}//'
mutation "a timer is moved in two steps" timers.rs timers a_timer_on_its_way_is_found \
    's/(let mut from = self\.heap\.lock\(\);\n)\s*let mut to = other\.heap\.lock\(\);\n(\s*for entry in )from\.drain\(\.\.\)/$1        let all = core::mem::take(\&mut *from);\n        self.publish(\&from);\n        drop(from);\n        let mut to = other.heap.lock();\n$2all/; s/self\.publish\(&from\);\n    \}/}/'

# --- what wakes a select without a lock
mutation "an alarm claims by load and store" waitq.rs alarm one_of_two_alarms_wins \
    's/match g\.select_done\.swap\(DONE, Ordering::AcqRel\)/let was = g.select_done.load(Ordering::Acquire);\n    g.select_done.store(DONE, Ordering::Release);\n    match was/'
mutation "a park does not see that it was claimed before" waitq.rs alarm an_alarm_before_the_park_is_not_lost \
    's/match done\.compare_exchange\(PREPARING, OPEN, Ordering::AcqRel, Ordering::Acquire\) \{/done.store(OPEN, Ordering::Release);\n        match Ok::<u32, u32>(OPEN) {/'
mutation "opened without release" waitq.rs alarm an_alarm_before_the_park_is_not_lost \
    's/compare_exchange\(PREPARING, OPEN, Ordering::AcqRel/compare_exchange(PREPARING, OPEN, Ordering::Acquire/'
mutation "a channel claims what an alarm has" waitq.rs alarm an_alarm_against_a_channel \
    's/g\.select_done\.compare_exchange\(OPEN, DONE, .*?\)\.is_ok\(\)/{\n        g.select_done.swap(DONE, Ordering::AcqRel);\n        true\n    }/'
mutation "who waits on a line already waits twice" lineword.rs alarm two_arms_of_one_line_are_one \
    's/return Wait::Already/return Wait::Waits/'
mutation "who leaves waits for no handler" meeting.rs alarm a_late_handler_does_not_claim_the_next_wait \
    's/while !out && self\.handlers\.load\(Ordering::Acquire\) != 0 \{.*?\n        \}//s'
mutation "a handler counts itself too late" meeting.rs alarm a_late_handler_does_not_claim_the_next_wait \
    's/self\.handlers\.fetch_add\(1, Ordering::AcqRel\);\n(\s*)(while self\.word\.raise\(\)\.is_some_and\()\|t\| !claim\(t\)\)/$1$2|t| {\n            self.handlers.fetch_add(1, Ordering::AcqRel);\n            !claim(t)\n        })/'
mutation "an interrupt that lost is forgotten" meeting.rs alarm a_late_handler_does_not_claim_the_next_wait \
    's/while self\.word\.raise\(\)\.is_some_and\(\|t\| !claim\(t\)\) \{\}/if let Some(t) = self.word.raise() {\n            claim(t);\n        }/'

# --- interrupts that are masked until somebody looks
mutation "lines are raised before it is noted who must look" masks.rs masks a_shared_level_is_unmasked_when_all_have_looked \
    's/(let bits = .*?;\n)(.*?)(\s*self\.present\(\)\.for_each\(\|\(_, t\)\| raise\(t\)\);)/$1$3\n$2/s'
mutation "one who has left is waited for" masks.rs masks a_sharer_that_leaves_leaves_nothing_masked \
    's/others\.fold\(0, \|bits, \(n, _\)\| bits \| 1 << n\) & was == 0/was \& !(1 << n) == 0/'
mutation "a storm is told before it is masked" masks.rs masks a_storm_ends_when_somebody_looks \
    's/( {12}mask\(\);\n)(.*?)( {12}self\.masked\.swap\(1, Ordering::Release\);)/$3\n$2$1/s'

# --- the words of Mutex and RwLock
mutation "locked without acquire" lockword.rs locks two_take_turns \
    's/compare_exchange\(0, LOCKED, Ordering::Acquire/compare_exchange(0, LOCKED, Ordering::Relaxed/'
mutation "locked the slow way without acquire" lockword.rs locks three_take_turns \
    's/compare_exchange\(old, new, Ordering::Acquire/compare_exchange(old, new, Ordering::Relaxed/'
mutation "unlocked without release" arch.rs locks two_take_turns \
    's/fetch_sub\(N, Ordering::Release\)/fetch_sub(N, Ordering::Relaxed)/'
mutation "an unlock wakes nobody" lockword.rs locks two_take_turns \
    's/self\.wake_waiter\(queue\);//'
mutation "a waiter is not counted" lockword.rs locks two_take_turns \
    's/new \+= WAITER;//'
mutation "who is woken still counts as waiting" lockword.rs locks three_take_turns \
    's/\(old - WAITER\) \| WOKEN/old | WOKEN/'
mutation "who was woken stays WOKEN" lockword.rs locks three_take_turns \
    's/new &= !WOKEN;//'
mutation "a spinner stays WOKEN" lockword.rs locks a_spinner_hides_nobody \
    's/awoke = self\.swap\(old, old \| WOKEN\);/self.swap(old, old | WOKEN);/'
mutation "who was handed the lock tries for it" lockword.rs locks who_starves_is_handed_it \
    's/if old & STARVING != 0 \{\n\s*\/\/ The unlocker/if false {\n\/\/ The unlocker/'
mutation "it starves for ever" lockword.rs locks who_starves_is_handed_it \
    's/\{ STARVING \} else \{ 0 \}/{ 0 } else { 0 }/'
mutation "a newcomer takes what was handed over" lockword.rs locks who_starves_is_handed_it \
    's/if old & STARVING == 0 \{\n\s*new \|= LOCKED;\n\s*\}/new |= LOCKED;/'
mutation "who is handed the lock still counts as waiting" lockword.rs locks who_starves_is_handed_it \
    's/wrapping_sub\(WAITER \+ over\)/wrapping_sub(over)/'
mutation "a late unlock wakes one that starves" lockword.rs locks a_late_unlock_wakes_nobody_again \
    's/\(LOCKED \| WOKEN \| STARVING\) == 0/(LOCKED | WOKEN) == 0/'
mutation "who tries goes before who starves" lockword.rs locks who_tries_is_alone_too \
    's/(fn try_lock.*?)\(LOCKED \| STARVING\)/$1LOCKED/s'
mutation "it never starves" lockword.rs unit who_has_lost_for_more_than_a_millisecond_is_handed_the_lock \
    's/starving \|= queue\.now\(\) - since > STARVATION_NS;//'
mutation "its clock stands still" sync/mutex.rs fuzz who_starves_is_handed_the_mutex \
    's/machine::now\(\)/1/'
mutation "it starves after a millisecond sharp" lockword.rs unit who_has_lost_for_a_millisecond_can_be_overtaken_still \
    's/since > STARVATION_NS/since >= STARVATION_NS/'
mutation "a spinner does not say that it is awake" lockword.rs unit while_one_spins_nobody_is_woken \
    's/if !awoke && old & WOKEN == 0/if false/'
mutation "a broadcast wakes those who come meanwhile" monitor.rs fuzz broadcast_wakes_each_once \
    's/as isize\) < 0/as isize) <= 0/'
mutation "a waiter with a deadline is readied unclaimed" monitor.rs fuzz timeouts_race_with_signals \
    's/if !unsafe (\{ &\*w\.slot.*?\}\.must_claim) \{/let _ = unsafe $1; if true {/'
mutation "a default looks at one arm at a time" select.rs fuzz default_sees_all_arms_at_one_moment \
    's/(fn look_at_all\(.*?\{\n)/$1    return None;\n/s'
mutation "a default of three arms looks at one at a time" select.rs fuzz default_sees_all_arms_at_one_moment \
    's/locks\.len\(\) < 2/locks.len() > 2/'
mutation "one of two locks is left out" select.rs fuzz default_sees_all_arms_at_one_moment \
    's/locks\[kept - 1\]/locks[kept]/'
mutation "a result that borrows is left to its goroutine" scope.rs fuzz unjoined_results_are_dropped_in_time \
    's/if !needs_drop/if needs_drop/'
mutation "a scope does not wait until a result is there" scope.rs fuzz a_lone_result_is_dropped_in_time \
    's/drop\(self\.0\.take\(\)\.map\(JoinHandle::try_join\)\);//'
mutation "a place is free before its timer is stopped" cancel.rs fuzz the_deadline_of_a_token_that_is_gone_cancels_nobody \
    's/self\.timer = None; \/\/ stops it//'
mutation "who switches its own CPU off stays" affinity.rs hosted procs::who_switches_its_own_cpu_off_leaves \
    's/(procs::set_procs\(n\);\s*)leave_if_off\(\);/$1/'
mutation "a reader comes without acquire" readers.rs locks a_reader_and_a_writer \
    's/fetch_add\(1, Ordering::Acquire\)/fetch_add(1, Ordering::Relaxed)/'
mutation "a reader goes without release" readers.rs locks a_reader_and_a_writer \
    's/fetch_sub\(1, Ordering::Release\)/fetch_sub(1, Ordering::Relaxed)/'
mutation "a writer comes without acquire" readers.rs locks a_reader_and_a_writer \
    's/fetch_sub\(WRITER, Ordering::AcqRel\)/fetch_sub(WRITER, Ordering::Release)/'
mutation "a writer goes without release" readers.rs locks a_reader_and_a_writer \
    's/fetch_add\(WRITER, Ordering::Release\)/fetch_add(WRITER, Ordering::Relaxed)/'
mutation "a reader that has left is waited for" readers.rs locks a_reader_and_a_writer \
    's/reading == 0 \|\| self\.leaving\.fetch_add\(reading, Ordering::AcqRel\)\.wrapping_add\(reading\) == 0/reading == 0 || {\n            self.leaving.fetch_add(reading, Ordering::AcqRel);\n            false\n        }/'
mutation "the first reader to leave lets the writer in" readers.rs locks two_readers_and_a_writer \
    's/self\.leaving\.fetch_sub\(1, Ordering::AcqRel\) == 1/self.leaving.fetch_sub(1, Ordering::AcqRel) != 0/'
mutation "the last reader has not seen the first leave" readers.rs locks two_readers_and_a_writer \
    's/leaving\.fetch_sub\(1, Ordering::AcqRel\)/leaving.fetch_sub(1, Ordering::Release)/'
mutation "who tries to read passes a writer" readers.rs locks who_tries_reads_or_writes_as_others \
    's/\(n < MOST\)\.then/true.then/'
mutation "who tries to read does so without acquire" readers.rs locks who_tries_reads_or_writes_as_others \
    's/try_update\(Ordering::Acquire/try_update(Ordering::Relaxed/'
mutation "who tries to write does so without acquire" readers.rs locks who_tries_reads_or_writes_as_others \
    's/compare_exchange\(0, none, Ordering::AcqRel/compare_exchange(0, none, Ordering::Release/'

# --- panics that are recovered
mutation "whether it unwinds is kept by CPU" recover.rs fuzz a_destructor_may_park_while_unwinding \
    's/\b(g|getg\(\))\.catching\./CATCHING[executive_core::percpu::cpu()]./g; s/\z/\nstatic CATCHING: [core::sync::atomic::AtomicU8; 64] = [const { core::sync::atomic::AtomicU8::new(0) }; 64];\n/'
mutation "a recover forgets the one around it" recover.rs fuzz recovers_nest \
    's/g\.catching\.store\(around, Relaxed\)/g.catching.store(0, Relaxed)/'
mutation "a recover leaves the goroutine unwinding" recover.rs fuzz recovers_nest \
    's/g\.catching\.store\(around, Relaxed\);//'
mutation "within a destructor's recover nothing unwinds" recover.rs fuzz a_destructor_may_recover_while_unwinding \
    's/let inside = if .*?;/let inside = 0;/'
mutation "a recover stops goexit" recover.rs fuzz goexit_ends_the_goroutine \
    's/Err\(_\) => goexit\(\),/Err(_) => Panic::of_goexit(),/'
mutation "who has exited still exits" proc/birth.rs fuzz goexit_ends_the_goroutine \
    's/g\.catching\.store\(0, Relaxed\);//'
mutation "stacks are read while their goroutines run" report/stacks.rs hosted stacks::each_is_one_that_its_goroutine_had \
    's/if !stand_still\(&mut .*?\) \{/if true {/; s/if let Some\(still\) = still (\{\s*match one\.status \{\s*Status::Running => ).*?,\n/if true $1(),\n/s'
mutation "who exits leaves a result" proc/birth.rs hosted recover::goexit_ends_the_goroutine \
    's/g\.body\.set\(null_mut\(\)\); .*?\n//'
mutation "a panic resumed is another" recover.rs fuzz recovers_nest \
    's/if !on_g0\(\) && state & ARMED != 0/if false \&\& state != 0/'
mutation "a panic in a destructor is caught further out" recover.rs hosted deaths::recover_of_a_panic_in_a_destructor \
    's/if state & \(PANICKING \| EXITING\) != 0/if false/'
mutation "a panic in a destructor of who exits is caught" recover.rs hosted deaths::panic_in_a_destructor_of_who_exits \
    's/if state & \(PANICKING \| EXITING\) != 0/if state & PANICKING != 0/'
mutation "who is pinned unwinds" recover.rs hosted deaths::recover_pinned \
    's/!can_park\(\)/false/'
mutation "who holds a spin lock unwinds" recover.rs hosted deaths::recover_with_a_spin_lock_held \
    's/!can_park\(\)/false/'
mutation "what is raised on g0 is nobody's" recover.rs hosted deaths::recover_on_g0 \
    's/if on_g0\(\) \{/if false {/'
mutation "a panic that nobody catches unwinds" recover.rs hosted deaths::panic_beside_a_recover_in_another_goroutine \
    's/if state & \(ARMED \| EXITING\) == 0/if false/'
mutation "a scope that is unwound leaves its children" scope.rs hosted recover::a_scope_is_unwound_when_all_have_ended \
    's/(for AtEnd<F> \{\s*fn drop\(&mut self\) \{)/$1 if crate::recover::panicking() { return; }/'
mutation "a child's panic is lost" scope.rs fuzz a_scope_panics_when_all_have_ended \
    's/scope\.rest\.resume\(\);//'
mutation "of several panics the last is the scope's" scope.rs fuzz the_first_panic_is_the_scope_s \
    's/get_or_insert\(panic\)/insert(panic)/'
mutation "who panics keeps the lock" sync/guard.rs fuzz at_random_points \
    's/self\.of\.lock\.unlock\(\);/if !crate::recover::panicking() { self.of.lock.unlock(); }/'
mutation "who panics closes no channel" chan/ends.rs fuzz at_random_points \
    's/self\.chan\.close\(\);(\s*\}\s*\}\s*\}\s*impl<T> Drop for Receiver)/if !crate::recover::panicking() { self.chan.close(); }$1/'
mutation "a task that is unwound is not done" sync/waitgroup.rs fuzz scopes_and_groups_count_who_exits \
    's/let _task = task;\s*f\(\)/let task = core::mem::ManuallyDrop::new(task); f(); drop(core::mem::ManuallyDrop::into_inner(task))/'
mutation "a Once whose function panics is called again" sync/once.rs fuzz what_is_done_once_may_panic \
    's/let _at_end = done;\s*f\(\);/let done = ManuallyDrop::new(done); f(); drop(ManuallyDrop::into_inner(done));/'
mutation "a cell whose function panics counts as full" sync/once.rs fuzz what_is_done_once_may_panic \
    's/let done = ManuallyDrop::new\(done\);\s*f\(\);\s*drop\(ManuallyDrop::into_inner\(done\)\);/let _at_end = done; f();/'

# --- free lists
mutation "what is given away is kept too" freelist.rs free the_freed_is_reused_by_one \
    's/self\.len\.set\(len\);\n(\s*if len >= GFREE_MAX)/self.len.set(len);\n        let mut too = List::new();\n        too.push_back(t);\n        everyone.give(too);\n$1/'
mutation "a batch replaces what was there" freelist.rs free the_freed_is_reused_by_one \
    's/batch\.append\(core::mem::replace\(&mut \*list, List::new\(\)\)\);//'

summary
