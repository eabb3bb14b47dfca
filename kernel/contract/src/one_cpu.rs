//! Checks that one CPU can make alone.

use super::{MS, SOON, Verdict, expect, free, pass, soon, stack, ticks};
use core::fmt;
use executive::atomic::{AtomicU32, relax};
use executive::machine::{self, NEVER, Stack, now};
use executive::param::{MAX_CPUS, STACK_BYTES};

pub(super) fn cpus_is_constant() -> Verdict {
    let n = machine::cpus();
    expect((1..=MAX_CPUS).contains(&n), "out of range")?;
    expect(machine::cpus() == n, "changed its mind")
}

pub(super) fn now_rises() -> Verdict {
    let start = now();
    let mut last = start;
    for _ in 0..100_000 {
        let t = now();
        expect(t >= last, "went back")?;
        last = t;
    }
    // Not `soon`: that is made of the clock in question.
    for _ in 0..1 << 26 {
        if now() > start + MS {
            return Ok(());
        }
    }
    Err("stands still")
}

pub(super) fn symbol_names_a_function() -> Verdict {
    struct Contains(bool);
    impl fmt::Write for Contains {
        fn write_str(&mut self, s: &str) -> fmt::Result {
            self.0 |= s.contains("now_rises");
            Ok(())
        }
    }
    let mut out = Contains(false);
    let found = machine::symbol(now_rises as *const () as usize + 1, &mut out);
    expect(found && out.0, "didn't find its name")?;
    expect(!machine::symbol(1, &mut out), "found a name at address 1")
}

/// Writes a word to each page and reads all back.
fn use_all_of(stack: Stack) -> Verdict {
    let words =
        || (stack.lo..stack.hi).step_by(4096).map(core::ptr::with_exposed_provenance_mut::<usize>);
    for word in words() {
        // SAFETY: within a stack that is ours and runs nothing.
        unsafe { word.write_volatile(word.addr() ^ 0x5a) };
    }
    for word in words() {
        // SAFETY: as above.
        expect(
            unsafe { word.read_volatile() } == word.addr() ^ 0x5a,
            "doesn't hold what is written",
        )?;
    }
    Ok(())
}

pub(super) fn stacks_are_usable() -> Verdict {
    for size in [STACK_BYTES, 1, 4096, 4097, 1 << 20] {
        let stack = stack(size)?;
        expect(stack.size() >= size, "too small")?;
        expect(stack.hi % 16 == 0, "its top isn't aligned")?;
        use_all_of(stack)?;
        free(stack);
    }
    Ok(())
}

pub(super) fn stacks_are_disjoint() -> Verdict {
    let stacks = [stack(STACK_BYTES)?, stack(STACK_BYTES)?, stack(1)?, stack(1 << 18)?];
    for (i, a) in stacks.iter().enumerate() {
        for b in &stacks[..i] {
            // A guard lies below each, so there is a page between any two.
            expect(
                a.lo >= b.hi + 4096 || b.lo >= a.hi + 4096,
                "they overlap, or share a guard's place",
            )?;
        }
    }
    stacks.into_iter().for_each(free);
    Ok(())
}

pub(super) fn stacks_commit_on_touch() -> Verdict {
    // From a fresh place, most likely: no other check takes one of this size, nor of the power of
    // two above it.
    let big = stack(3 << 20)?;
    let fresh = machine::stack_committed(big);
    expect(fresh >= 4096, "its topmost page isn't committed")?;
    expect(fresh <= big.size() / 2, "committed before it was touched")?;
    use_all_of(big)?;
    expect(
        machine::stack_committed(big) == big.size(),
        "touched, and yet not counted as committed",
    )?;
    free(big);
    Ok(())
}

pub(super) fn shallow_stacks_are_not_deep() -> Verdict {
    let stack = stack(STACK_BYTES)?;
    for _ in 0..2 {
        let committed = machine::stack_committed(stack);
        expect(
            !machine::stack_is_deep(stack) || committed > 4096,
            "only its topmost page is committed",
        )?;
        use_all_of(stack)?;
    }
    free(stack);
    Ok(())
}

pub(super) fn absurd_stacks_are_refused() -> Verdict {
    expect(machine::alloc_stack(usize::MAX).is_none(), "gave out all there is")?;
    expect(machine::alloc_stack(1 << 46).is_none(), "gave out 64 TiB")
}

pub(super) fn refill_leaves_what_is_used() -> Verdict {
    let (used, freed) = (stack(STACK_BYTES)?, stack(STACK_BYTES)?);
    use_all_of(used)?;
    use_all_of(freed)?;
    free(freed);
    machine::refill();
    for page in (used.lo..used.hi).step_by(4096) {
        // SAFETY: within a stack that is ours; `use_all_of` wrote it.
        let word = unsafe { core::ptr::with_exposed_provenance::<usize>(page).read_volatile() };
        expect(word == page ^ 0x5a, "it changed")?;
    }
    free(used);
    use_all_of(stack(STACK_BYTES)?)
}

pub(super) fn freed_stacks_come_back() -> Verdict {
    let mut given = [None; 64];
    for slot in &mut given {
        *slot = Some(stack(1 << 16)?);
    }
    given.into_iter().flatten().for_each(free);
    let mut again = [None; 128];
    for slot in &mut again {
        *slot = Some(stack(1 << 16)?);
    }
    expect(given.iter().all(|stack| again.contains(stack)), "not all came back")?;
    again.into_iter().flatten().for_each(free);
    let first = stack(1 << 16)?;
    free(first);
    for _ in 0..200_000u32 {
        let again = stack(1 << 16)?;
        free(again);
        if again == first {
            return Ok(());
        }
    }
    Err("the same stack never came back")
}

pub(super) fn wait_sees_the_change() -> Verdict {
    let word = AtomicU32::new(1);
    let start = now();
    machine::wait(&word, 0, start + SOON);
    expect(now() < start + SOON, "slept although the word was another")
}

pub(super) fn wait_ends_at_its_deadline() -> Verdict {
    let word = AtomicU32::new(0);
    for ns in [0, 1, 100_000, 200 * MS] {
        let deadline = now() + ns;
        machine::tick_at(deadline + SOON); // an interrupt may end the sleep of who forgets the time
        // It may return early; how often it does in one sleep is bounded by what interrupts there
        // are.
        for _ in 0..1000 {
            machine::wait(&word, 0, deadline);
            if now() >= deadline {
                break;
            }
        }
        expect(now() >= deadline, "came back a thousand times before its deadline")?;
        expect(now() < deadline + SOON, "overslept")?;
    }
    machine::tick_at(NEVER);
    Ok(())
}

pub(super) fn a_tick_comes_once() -> Verdict {
    let before = ticks(0);
    let deadline = now() + 3 * MS;
    machine::tick_at(deadline);
    while ticks(0) == before {
        expect(now() < deadline + SOON, "no tick")?;
        relax();
    }
    expect(now() >= deadline, "ticked too early")?;
    pass(8 * MS);
    expect(ticks(0) == before + 1, "ticked again")
}

pub(super) fn a_past_tick_comes_now() -> Verdict {
    for deadline in [0, now() - 1] {
        let before = ticks(0);
        machine::tick_at(deadline);
        expect(soon(|| ticks(0) != before), "no tick")?;
    }
    Ok(())
}

pub(super) fn a_tick_can_be_taken_back() -> Verdict {
    let before = ticks(0);
    machine::tick_at(now() + 500 * MS);
    machine::tick_at(NEVER);
    pass(600 * MS);
    expect(ticks(0) == before, "ticked all the same")?;
    // Replaced by a later one, and that by a sooner one.
    machine::tick_at(now() + 50 * MS);
    machine::tick_at(now() + 100_000 * MS);
    pass(100 * MS);
    expect(ticks(0) == before, "ticked when the first request was replaced by a later one")?;
    machine::tick_at(now() + MS);
    expect(soon(|| ticks(0) != before), "the second request didn't replace the first")
}

pub(super) fn kick_myself() -> Verdict {
    let before = ticks(0);
    machine::kick(0);
    expect(soon(|| ticks(0) != before), "no tick")
}
