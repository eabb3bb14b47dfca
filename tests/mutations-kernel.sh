#!/usr/bin/env bash
# Can the kernel's own tests fail? Each line below breaks the kernel in one place, in a copy, boots that in QEMU, and names the
# console command that must notice, and perhaps the words with which the unbroken kernel dies of it.
#
#   tests/mutations-kernel.sh --list [WORD...]   tells them: file, what is broken, which command notices
#   tests/mutations-kernel.sh [WORD...]          all of them (some ten minutes), or those whose line contains one of the words
#
# tests/lib/mutations.sh tells how.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
source "$root/tests/lib/mutations.sh"
cd "$root"
source tests/lib/build.sh
target+=/mutations-kernel
[[ $list ]] || (target=${target%/*} && build_boot)
boot=${target%/*}/debug/boot
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_DEBUG=0 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_NET_OFFLINE=true
copy tests/scenarios kernel
sed -i 's|^members = \[|&"kernel/shell", |' "$work/Cargo.toml" # what it needs comes by itself

builds() { # CPU
    (cd "$work" && build_kernel)
}

passes() { # CPU COMMAND[ => WORDS]: the command succeeds, or the run dies with these words; behind the CPU other words for QEMU
    local status=0
    # shellcheck disable=SC2086 # words
    "$boot" --kernel "$target/x86_64-goroutine/release/kernel" --smp 2 --timeout 240 --run "${2% => *}" -- -cpu $1 >"$work/said" 2>&1 || status=$?
    cat "$work/said"
    case $2 in
    *" => "*) ((status == 2)) && grep -qF "${2#* => }" "$work/said" ;;
    *) ((status == 0)) ;;
    esac
}

# --- vector registers
mutation "nothing is saved" xsave.rs max "registers 300" \
    's/unsafe \{ executive::preempt_by\(keep\) \};/let _ = keep;/'
mutation "what was saved is not restored" xsave.rs max "registers 300" \
    's/"xrstor64 \[rsp\]",//'
mutation "what was saved is not restored" xsave.rs Nehalem "registers 300" \
    's/"fxrstor64 \[rsp\]",//'
mutation "ymm is not saved" xsave.rs Haswell "registers 300" \
    's/"mov eax, -1", \/\/ all that is on/"mov eax, 3",/'
mutation "ymm is not restored" xsave.rs Haswell "registers 300" \
    's/(call \{preempt_yield\}",\s*)"mov eax, -1",(\s*"mov edx, -1",\s*"xrstor64)/$1"mov eax, 3",$2/'
mutation "XSAVE's header is what the stack had there" xsave.rs max "registers 300" \
    's/"mov \[rsp \+ 5(20|28|36|44|52|60|68)\], rax",//g'
mutation "others get a preempted goroutine's x87" xsave.rs max "registers 300" \
    's/("xsave64 \[rsp\]",\s*)"fninit",/$1/'
mutation "others get a preempted goroutine's MXCSR" xsave.rs qemu64 "registers 300" \
    's/(fxsave64 \[rsp\]",\s*"fninit",[^\n]*\n\s*)"ldmxcsr \[rip \+ \{mxcsr\}\]",/$1"\/* {mxcsr} *\/",/'
mutation "gates give back xmm0 in place of each" idt.rs max "registers 300" \
    's/movaps xmm\\\\n, \[rsp \+ 16 \* \\\\n\]/movaps xmm\\\\n, [rsp]/'

# --- panics that are recovered
mutation "what is raised in a handler unwinds the goroutine" recover.rs max "crash handler => cannot be recovered: it was raised in a handler" \
    's/if !g\.stack\(\)\.contains\(\(&raw const here\)\.addr\(\)\)/let _ = here; if false/'
mutation "a message that panics is a destructor" recover.rs max \
    "scenario recover_of_a_message_that_panics => cannot be recovered: it was raised by a panic's message" \
    's/PANICKING \| TELLING, /PANICKING, /'
mutation "goexit runs no destructors" ./src/unwind.rs max "scenario goexit_ends_the_goroutine" \
    's/_Unwind_ForcedUnwind\(exception, stop, null_mut\(\)\);/let _ = stop; executive::unwound(executive::kit::NEVER_PREEMPTED.addr());/'

# --- where preemption comes
# -singlestep: QEMU takes interrupts behind each instruction, and not only behind a block of them.
mutation "preempted in the unwinder's last step" ./src/unwind.rs "max -singlestep" "scenario recover::ten_thousand_panics" \
    's/steps\.iter\(\)\.any\(\|step\| step\.contains\(&pc\)\)/steps.contains(&(pc..pc))/'
mutation "preempted between a CPU's number and the lock to it" affinity.rs "max -singlestep" \
    "scenario$(printf ' affinity::it_stays_where_it_was%.0s' {1..20})" \
    's/let _pin = Pin::new\(\);//'

summary
