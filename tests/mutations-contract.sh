#!/usr/bin/env bash
# Can the contract's questions fail? Each line below breaks a hook of the Linux machine, in a copy, and names the question that must notice.
#
#   tests/mutations-contract.sh --list [WORD...]   tells them: file, what is broken, which question notices
#   tests/mutations-contract.sh [WORD...]          all of them (some minutes), or those whose line contains one of the words
#
# tests/lib/mutations.sh tells how. A question that no line names is an error too.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
source "$root/tests/lib/mutations.sh"

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}/mutations-contract
export CARGO_PROFILE_DEV_DEBUG=0 RUSTFLAGS="-Cforce-frame-pointers=yes -Awarnings" RUST_BACKTRACE=0
copy kernel/contract kernel/executive kernel/hosted
# The scenarios' crates are for another test. Two seconds of patience do for a machine that is not emulated.
sed -i -E '/^(bench|demos|scenarios)\./d' "$work/kernel/hosted/Cargo.toml"
sed -i 's/^\(const SOON: u64 =\) 20_000_000_000;/\1 2_000_000_000;/' "$work/kernel/contract/src/lib.rs"

builds() { # contract
    cargo test -q --offline --manifest-path "$work/Cargo.toml" -p hosted --test "$1" --no-run
}

ask() { # contract: puts all the questions, by a program that is built
    timeout 60 cargo test -q --offline --manifest-path "$work/Cargo.toml" -p hosted --test "$1"
}

# Noticed is what fails the test by the right question: it says FAIL, or the run dies in it.
passes() { # contract QUESTION
    local status=0 first
    ask "$1" >"$work/answers" 2>&1 || status=$?
    why=$(grep -xF -A1 "FAIL $2" "$work/answers" | sed -n 's/^     \(..*\)/: \1/p')
    ((status != 0)) || return 0
    if ((status == 124)); then
        why+=" (the run hangs)"
    fi
    grep -qxF "FAIL $2" "$work/answers" && return 1
    first=$(sed 's/^....//' "$work/asked" | grep -vxFf <(sed 's/^\(ok  \|FAIL\)//' "$work/answers") | head -n1)
    [[ $status != 124 && $first == " $2" ]] || return 0
    why=": the run dies"
    return 1
}

noticed=()
question() { # NAME FILE QUESTION PERL
    noticed+=("$3")
    mutation "$1" "$2" contract "$3" "$4"
}

# The unbroken machine, and what it is asked.
if [[ -z $list ]]; then
    builds contract 2>"$work/log" || { cat "$work/log" && exit 1; }
    ask contract >"$work/answers" 2>&1 || { cat "$work/answers" && exit 1; }
    grep '^ok   ' "$work/answers" >"$work/asked"
fi

# --- stacks
question "no guard" stack.rs "alloc_stack: the page below faults" \
    's/(fn guard\(at: usize\) -> bool \{)/$1\n    return true;/'
question "a slot has no room for the guard" stack.rs "alloc_stack: all of it can be used" \
    's/size\.checked_add\(GUARD\)\?\.checked_next/size.checked_next/'
question "the next slot begins a page too soon" stack.rs "alloc_stack: two stacks never share a page" \
    's/class\.next \+= slot;/class.next += slot - PAGE;/'
question "a free stack is given out twice" stack.rs "alloc_stack: two stacks never share a page" \
    's/class\.free = unsafe \{ link\(hi\)\.read\(\) \};//'
question "the topmost page is not touched" stack.rs "stack_committed: its topmost page from the start, the others when touched" \
    's/unsafe \{ link\(hi\)\.write_volatile\(0\) \};//'
question "all pages are there from the start" stack.rs "stack_committed: its topmost page from the start, the others when touched" \
    's/libc::MAP_NORESERVE,/libc::MAP_NORESERVE | libc::MAP_POPULATE,/'
question "only the last part of a stack is counted" stack.rs "stack_committed: its topmost page from the start, the others when touched" \
    's/total \+= pages/total = pages/'
question "every stack is deep" linux.rs "stack_is_deep: not if only the topmost page is there" \
    's/false( \/\/ finding out takes)/true$1/'
question "the size wraps around" stack.rs "alloc_stack: what makes no sense is refused" \
    's/size\.checked_add\(GUARD\)\?/size.wrapping_add(GUARD)/'
question "what is too large gets the largest" stack.rs "alloc_stack: what makes no sense is refused" \
    's/\(class < CLASSES\)\.then_some\(\(class, slot\)\)/Some((class.min(CLASSES - 1), slot.min(SMALLEST_SLOT << (CLASSES - 1))))/'
question "a refill takes the neighbour of a free stack too" linux.rs "refill: a stack in use keeps what is in it" \
    's/(fn refill\(\) \{)\}/$1\n        let s = stack::alloc(executive::param::STACK_BYTES).unwrap();\n        unsafe {\n            libc::madvise(s.lo as _, 128 << 10, libc::MADV_DONTNEED);\n            stack::free(s)\n        }\n    }/'
question "a free stack is forgotten" stack.rs "free_stack: a stack that was given back is given out again" \
    's/class\.free = stack\.hi;//'
question "only the last free stack is remembered" stack.rs "free_stack: a stack that was given back is given out again" \
    's/(link\(stack\.hi\)\.write\()class\.free/${1}0/'
question "a free stack keeps its memory" stack.rs "free_stack: the memory is gone at once" \
    's|unsafe \{ libc::madvise\(stack\.lo as _, stack\.size\(\) - PAGE, libc::MADV_DONTNEED\) \};||'

# --- how many, and what time it is
question "the number is forgotten" cpu.rs "cpus: there is at least one, and the answer stays the same" \
    's/CPUS\.swap\(n, /CPUS.swap(0, /'
question "each answer is one more" cpu.rs "cpus: there is at least one, and the answer stays the same" \
    's/CPUS\.load\(Ordering::Relaxed\)/CPUS.fetch_add(1, Ordering::Relaxed)/'
question "one CPU is counted" cpu.rs "cpus: as many as were asked for" \
    's/CPUS\.swap\(n, /CPUS.swap(1, /'
question "the clock stands still" sleep.rs "now: time never goes back, and goes on" \
    's/t\.tv_sec as u64 \* 1_000_000_000 \+ t\.tv_nsec as u64/1/'
question "milliseconds are left out" sleep.rs "now: time never goes back, and goes on" \
    's/\+ t\.tv_nsec as u64/+ t.tv_nsec as u64 % 1_000_000/'
question "CPU 1 is behind" linux.rs "now: what one CPU saw is past for another" \
    's/fuzz::now\(\)\.unwrap_or_else\(sleep::now\)/sleep::now() - cpu::this_cpu() as u64 * 1_000_000/'
question "CPU 1 is ahead" linux.rs "now: what one CPU saw is past for another" \
    's/fuzz::now\(\)\.unwrap_or_else\(sleep::now\)/sleep::now() + cpu::this_cpu() as u64 * 1_000_000/'

# --- sleeping
question "the word is not compared" sleep.rs "wait: returns at once when the word has changed already" \
    's/\bexpect,\n/word.load(Ordering::Relaxed),\n/'
question "the deadline is taken for a duration" sleep.rs "wait: ends at its deadline" \
    's/libc::FUTEX_WAIT_BITSET/libc::FUTEX_WAIT/'
question "the deadline is looked up on another clock" sleep.rs "wait: ends at its deadline" \
    's/(FUTEX_WAIT_BITSET \| libc::FUTEX_PRIVATE_FLAG),/$1 | libc::FUTEX_CLOCK_REALTIME,/'
question "nobody says that it sleeps" sleep.rs "wake: ends a wait, however close the two come" \
    's/me\.asleep\.swap\(true, /me.asleep.swap(false, /'
question "compared before it sleeps, not as it does" sleep.rs "wake: ends a wait, however close the two come" \
    's/(me\.asleep\.swap\(true, .*?;\n)/if word.load(Ordering::SeqCst) != expect {\n        return;\n    }\n    $1/; s/\bexpect,\n/word.load(Ordering::SeqCst),\n/'
question "who is awake is kicked" sleep.rs "wake: a CPU that doesn't sleep is left alone" \
    's/(fn wake\(.*?FUTEX_WAKE.*?\n        \}\n    \})/$1 else {\n        crate::tick::kick(cpu);\n    }/s'

# --- ticks and kicks
question "a tick comes too early" tick.rs "tick_at: ticks once, not before the time" \
    's/deadline\.max\(1\)/deadline.saturating_sub(1_000_000).max(1)/'
question "a tick comes again and again" tick.rs "tick_at: ticks once, not before the time" \
    's/it_interval: zero/it_interval: libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 }/'
question "time 0 disarms" tick.rs "tick_at: a time in the past ticks now" \
    's/deadline\.max\(1\)/deadline/'
question "NEVER is ignored" tick.rs "tick_at: NEVER takes it back" \
    's/(Some\(timer\) => timer,)/_ if deadline == NEVER => return,\n        $1/'
question "a later request leaves the sooner" tick.rs "tick_at: NEVER takes it back" \
    's/(let timer = match)/static SOONEST: core::sync::atomic::AtomicU64 = core::sync::atomic::AtomicU64::new(NEVER);\n    let armed = SOONEST.load(Ordering::Relaxed);\n    if armed > sleep::now() && armed < deadline && deadline != NEVER {\n        return;\n    }\n    SOONEST.store(deadline, Ordering::Relaxed);\n    $1/'
question "a CPU doesn't kick itself" tick.rs "kick: a CPU can kick itself" \
    's/if tid != 0 \{/if tid != 0 && cpu::this() != Some(cpu) {/'
question "a kick goes to the wrong CPU" tick.rs "kick: ticks on the other CPU and not here" \
    's/(fn kick\(cpu: usize\) \{)/$1\n    let cpu = cpu * 0;/'
question "a kick goes to all" tick.rs "kick: ticks on the other CPU and not here" \
    's/(fn kick\(cpu: usize\) \{)/$1\n    if cpu != 0 {\n        kick(0);\n    }/'
question "who sleeps is not kicked" tick.rs "kick: reaches a CPU that sleeps" \
    's/if tid != 0 \{/if tid != 0 && !cpu::table(cpu).asleep.load(Ordering::Relaxed) {/'
question "signals wait until it wakes" sleep.rs "kick: reaches a CPU that sleeps" \
    's/(let until = timespec\(deadline\);)/let mut urgent = unsafe { core::mem::zeroed() };\n    unsafe { libc::sigaddset(&mut urgent, libc::SIGURG) };\n    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &urgent, core::ptr::null_mut()) };\n    $1/; s/(me\.asleep\.store\(false)/unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &urgent, core::ptr::null_mut()) };\n    $1/'

# --- the program's allocator
# Linux preempts nobody: so the machine learns to do it, within the lock of an allocator.
question "it preempts, and an allocator has a bare spin lock" tick.rs "the allocator: its holder is not preempted" \
    's/(executive::on_tick\(&mut )interrupted\(context\)\);.*?\n/let mut at = interrupted(context);\n    let (lo, hi) = (&raw const __start_spins, &raw const __stop_spins);\n    let spins = (lo as usize..hi as usize).contains(&at.pc);\n    ${1}at);\n    if spins {\n        unsafe { (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs[libc::REG_RIP as usize] = at.pc as _ };\n    }\n/; s/\z/\nunsafe extern "C" {\n    static __start_spins: u8;\n    static __stop_spins: u8;\n}\nstatic HELD: core::sync::atomic::AtomicBool = core::sync::atomic::AtomicBool::new(false);\n#[inline(never)]\n#[unsafe(link_section = "spins")]\nfn take() {\n    while HELD.swap(true, Ordering::Acquire) {}\n    (0..1000).for_each(|_| core::hint::spin_loop());\n}\nstruct Spinning;\n#[global_allocator]\nstatic HEAP: Spinning = Spinning;\nuse std::alloc::{GlobalAlloc, Layout, System};\nunsafe impl GlobalAlloc for Spinning {\n    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {\n        take();\n        let block = unsafe { System.alloc(layout) };\n        HELD.store(false, Ordering::Release);\n        block\n    }\n    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {\n        take();\n        unsafe { System.dealloc(block, layout) };\n        HELD.store(false, Ordering::Release);\n    }\n}\n/'

# --- the other CPU
question "it has the block of CPU 0" cpu.rs "start_cpu: the other CPU finds its own block in GS and has room on its stack" \
    's/become_cpu\(cpu, block as \*const \(\)\)/become_cpu(cpu, executive::percpu_block(block * 0))/'
question "its stack is small" cpu.rs "start_cpu: the other CPU finds its own block in GS and has room on its stack" \
    's/512 \* 1024/32 * 1024/'
question "it never runs" cpu.rs "start_cpu: the other CPU finds its own block in GS and has room on its stack" \
    's/drop\(up\);\n\s*entry\(\)/loop {\n            std::thread::park();\n            if block == 0 {\n                entry();\n            }\n        }/'
question "one that did not come is said to have come" cpu.rs "start_cpu: the number of one that did not come is the next one's" \
    's/(did not start: \{error\}"\);\s*)false/$1true/'
question "it is not stopped" tick.rs "freeze_others: the other CPU stands still" \
    's/if frozen_by != 0 && frozen_by != me \+ 1/if frozen_by == me + 1/'

# --- panics
question "what is raised is lost" unwind.rs "catch: what is raised comes, and all between is dropped once" \
    's/\(!exception\.is_null\(\)\)\.then\(/(!exception.is_null() \&\& false).then(/'
question "a raise comes back" unwind.rs "catch: what is raised comes, and all between is dropped once" \
    's/real\(\)\(exception\) == END_OF_STACK/real as usize == 0/'

# --- last words
question "addresses are taken for those in the file" symbols.rs "symbol: a function is found by an address within it" \
    's/pc\.wrapping_sub\(executable\.bias\)/pc/'
question "a function has no end" symbols.rs "symbol: a function is found by an address within it" \
    's/ && address - start < symbol\.st_size\(endian\)\.max\(1\)//'
question "a fault is not handled" crash.rs "a fault is told with the goroutine" \
    's/\[libc::SIGSEGV, /[/'
question "written to standard output" crash.rs "write: gets out" \
    's/libc::write\(2, /libc::write(1, /'
question "what two print is mixed" linux.rs "print: gets out, in one piece" \
    's/(let _ = std::io::stdout\(\)\.write_all\()bytes\);/for piece in bytes.chunks(40) {\n            ${1}piece);\n            std::thread::yield_now();\n        }/'
question "printed to nobody" linux.rs "print: gets out, in one piece" \
    's/(let _ = std::io::)stdout\(\)/${1}sink()/'
question "the code is dropped" crash.rs "exit: ends the run with its code" \
    's/std::process::exit\(code\)/std::process::exit(0)/'

if [[ -z $list ]] && ((${#words[@]} == 0)); then
    while read -r _ asked; do
        grep -qxF "$asked" < <(printf '%s\n' "${noticed[@]}") || miss "STALE " contract "$asked" "nothing is broken for it"
    done <"$work/asked"
fi
summary
