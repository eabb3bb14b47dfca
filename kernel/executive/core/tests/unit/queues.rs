//! The intrusive list, the ring with runnext, and the free lists, against plain models.
use super::{Random, leak, rounds, std};
use crate::ground::atomic::{AtomicRef, AtomicUsize, Ordering::Relaxed};
use crate::ground::param::{GFREE_KEEP, GFREE_MAX, RUNQ_SIZE};
use crate::nouns::arrivals::{Arrivals, Expected};
use crate::nouns::freelist::{Everyone, FreeList};
use crate::nouns::runq::{Linked, List, Owner, Runq, Thief};
use std::collections::VecDeque;
use std::vec::Vec;

struct Item {
    link: AtomicRef<Item>,
    id: usize,
    runs: AtomicUsize,
}

impl Linked for Item {
    fn link(&self) -> &AtomicRef<Item> {
        &self.link
    }
}

fn item(id: usize) -> &'static Item {
    leak(Item { link: AtomicRef::new(), id, runs: AtomicUsize::new(0) })
}

fn ids(mut list: List<Item>) -> Vec<usize> {
    core::iter::from_fn(|| list.pop_front()).map(|item| item.id).collect()
}

fn list(ids: impl IntoIterator<Item = usize>) -> List<Item> {
    let mut list = List::new();
    ids.into_iter().for_each(|id| list.push_back(item(id)));
    list
}

#[test]
fn a_list_is_a_deque() {
    for seed in 0..rounds(200) as u64 {
        let mut random = Random::new(seed);
        let (mut list, mut model) = (List::new(), VecDeque::new());
        for id in 0..100 {
            match random.below(6) {
                0 | 1 => {
                    list.push_back(item(id));
                    model.push_back(id);
                }
                2 => {
                    list.push_front(item(id));
                    model.push_front(id);
                }
                3 => assert_eq!(list.pop_front().map(|i| i.id), model.pop_front(), "seed {seed}"),
                4 => {
                    let n = random.below(5);
                    let taken: Vec<_> = model.drain(..n.min(model.len())).collect();
                    assert_eq!(ids(list.take(n)), taken, "seed {seed}");
                }
                _ => {
                    let more = random.below(3);
                    list.append(self::list((0..more).map(|i| 1000 + i)));
                    model.extend((0..more).map(|i| 1000 + i));
                }
            }
            assert_eq!(
                (list.len(), list.is_empty()),
                (model.len(), model.is_empty()),
                "seed {seed}"
            );
        }
        assert_eq!(ids(list), Vec::from(model), "seed {seed}");
    }
}

/// A ring and its owner: PINNED, as each test has one thread for it.
/// Takes a runnext as thieves do.
fn take_runnext(victim: Thief<'_, Item>) -> Option<&'static Item> {
    victim.runnext().filter(|next| victim.take_runnext(next))
}

fn ring() -> (&'static Runq<Item>, Owner<'static, Item>) {
    let q = leak(Runq::new());
    (q, q.owner())
}

/// Makes it the next; the one that was goes to the ring.
fn put_next(q: &Owner<'_, Item>, item: &'static Item) -> Option<List<Item>> {
    q.put(q.swap_next(item)?)
}

/// What runs next, and whether it inherits a slice: it was `runnext`.
fn got(q: &Owner<'_, Item>) -> Option<(usize, bool)> {
    let next = q.get_next().map(|item| (item.id, true));
    next.or_else(|| q.get_from_ring().map(|item| (item.id, false)))
}

#[test]
fn runnext_is_first_and_inherits_and_kicks_out() {
    let (_, q) = ring();
    assert!(q.put(item(1)).is_none());
    assert!(put_next(&q, item(2)).is_none());
    assert!(put_next(&q, item(3)).is_none()); // 2 goes behind 1
    assert_eq!(
        [got(&q), got(&q), got(&q), got(&q)],
        [Some((3, true)), Some((1, false)), Some((2, false)), None]
    );
}

#[test]
fn a_full_ring_gives_half_and_the_new_one_away() {
    let (shared, q) = ring();
    for id in 0..RUNQ_SIZE {
        assert!(q.put(item(id)).is_none());
    }
    assert_eq!(shared.len(), RUNQ_SIZE);
    let spilled = q.put(item(RUNQ_SIZE)).expect("it was full");
    let expected: Vec<_> = (0..RUNQ_SIZE / 2).chain([RUNQ_SIZE]).collect();
    assert_eq!(ids(spilled), expected);
    assert_eq!(got(&q), Some((RUNQ_SIZE / 2, false)));
    assert_eq!(shared.len(), RUNQ_SIZE / 2 - 1);
}

#[test]
fn a_runnext_kicked_out_of_a_full_ring_spills_too() {
    let (_, q) = ring();
    for id in 0..RUNQ_SIZE {
        assert!(q.put(item(id)).is_none());
    }
    assert!(put_next(&q, item(1000)).is_none());
    let spilled = put_next(&q, item(1001)).expect("the ring was full");
    assert_eq!(ids(spilled).last(), Some(&1000));
    assert_eq!(got(&q), Some((1001, true)));
}

#[test]
fn a_batch_goes_in_as_far_as_there_is_room() {
    let (_, q) = ring();
    assert!(q.put(item(0)).is_none());
    let mut batch = list(1..=RUNQ_SIZE);
    q.put_batch(&mut batch);
    assert_eq!(ids(batch), [RUNQ_SIZE]);
    for id in 0..RUNQ_SIZE {
        assert_eq!(got(&q), Some((id, false)));
    }
    assert!(!q.has_work());
}

#[test]
fn a_thief_takes_the_older_half() {
    let ((shared, q), (_, thief)) = (ring(), ring());
    for id in 0..5 {
        assert!(q.put(item(id)).is_none());
    }
    // Half of 5, rounded up: 0, 1, 2. The last of them is to be run at once.
    assert_eq!(thief.steal_from(shared.thief()).map(|i| i.id), Some(2));
    assert_eq!([got(&thief), got(&thief), got(&thief)], [Some((0, false)), Some((1, false)), None]);
    assert_eq!([got(&q), got(&q), got(&q)], [Some((3, false)), Some((4, false)), None]);
    assert!(thief.steal_from(shared.thief()).is_none());
}

#[test]
fn runnext_can_be_taken_alone() {
    let ((shared, q), (_, thief)) = (ring(), ring());
    assert!(put_next(&q, item(7)).is_none());
    assert!(!shared.is_empty() && shared.thief().runnext().is_some());
    assert!(thief.steal_from(shared.thief()).is_none(), "the ring alone is stolen from");
    assert_eq!(take_runnext(shared.thief()).map(|i| i.id), Some(7));
    assert!(shared.is_empty() && take_runnext(shared.thief()).is_none() && q.get().is_none());
}

/// One CPU's queue and one with thieves (who never come) are the same to their owner, whatever he
/// does.
#[test]
fn left_alone_it_is_the_same_queue() {
    let ((alone, a), (_, b)) = (ring(), ring());
    alone.leave_alone();
    let mut x = 1u32;
    for id in 0..if cfg!(miri) { 1_000 } else { 20_000 } {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        match x % 5 {
            0 => assert_eq!(a.put(item(id)).map(ids), b.put(item(id)).map(ids)),
            1 | 2 => assert_eq!(put_next(&a, item(id)).map(ids), put_next(&b, item(id)).map(ids)),
            _ => assert_eq!(got(&a), got(&b)),
        }
        assert_eq!(a.has_work(), b.has_work());
    }
    while let Some(last) = got(&a) {
        assert_eq!(got(&b), Some(last));
    }
    assert_eq!(got(&b), None);
}

#[test]
fn the_ring_wraps_many_times() {
    let (shared, q) = ring();
    let mut model = VecDeque::new();
    let mut random = Random::new(1);
    for id in 0..rounds(20 * RUNQ_SIZE) {
        if model.len() < RUNQ_SIZE && random.below(3) != 0 {
            assert!(q.put(item(id)).is_none());
            model.push_back(id);
        } else {
            assert_eq!(got(&q), model.pop_front().map(|id| (id, false)));
        }
        assert_eq!(shared.len(), model.len());
    }
}

/// Real threads: everything that the owner puts is run once, by it, by a thief, or out of a spilled
/// batch.
#[test]
fn owner_and_thieves_run_each_once() {
    let n = rounds(200_000);
    let (shared, q) = ring();
    let items: &'static Vec<Item> = leak(
        (0..n).map(|id| Item { link: AtomicRef::new(), id, runs: AtomicUsize::new(0) }).collect(),
    );
    let run = |item: &Item| {
        item.runs.fetch_add(1, Relaxed);
    };
    let done = crate::ground::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let (_, mine) = ring();
                while !done.load(Relaxed) || !shared.is_empty() {
                    if let Some(item) =
                        mine.steal_from(shared.thief()).or_else(|| take_runnext(shared.thief()))
                    {
                        run(item);
                    }
                    while let Some(item) = mine.get() {
                        run(item);
                    }
                    std::thread::yield_now();
                }
            });
        }
        for item in items {
            let spilled = if item.id % 3 == 0 { put_next(&q, item) } else { q.put(item) };
            let mut spilled = spilled.unwrap_or_else(List::new);
            while let Some(item) = spilled.pop_front() {
                run(item);
            }
            if item.id % 5 == 0
                && let Some(item) = q.get()
            {
                run(item);
            }
        }
        while let Some(item) = q.get() {
            run(item);
        }
        done.store(true, Relaxed);
    });
    for item in items {
        assert_eq!(item.runs.load(Relaxed), 1, "item {}", item.id);
    }
}

#[test]
fn free_ones_move_in_batches() {
    let everyone = Everyone::new();
    let mine = FreeList::new();
    let parted = AtomicUsize::new(0);
    for id in 0..GFREE_MAX {
        mine.put(item(id), &everyone, |_| {
            parted.fetch_add(1, Relaxed);
        });
    }
    // The last put made too many, and the newest went.
    assert_eq!(
        (everyone.len(), parted.load(Relaxed)),
        (GFREE_MAX - GFREE_KEEP, GFREE_MAX - GFREE_KEEP)
    );
    let other = FreeList::new();
    let fetched: Vec<_> = core::iter::from_fn(|| other.get(&everyone)).map(|i| i.id).collect();
    assert_eq!(fetched.len(), GFREE_MAX - GFREE_KEEP);
    let mut all: Vec<_> =
        core::iter::from_fn(|| mine.get(&everyone)).map(|i| i.id).chain(fetched).collect();
    all.sort();
    assert_eq!(all, (0..GFREE_MAX).collect::<Vec<_>>());
}

#[test]
fn arrivals_come_oldest_first() {
    let arrivals = Arrivals::new();
    assert!(arrivals.is_empty());
    for id in 0..3 {
        arrivals.push(item(id));
    }
    assert!(!arrivals.is_empty());
    assert_eq!(ids(arrivals.take_all()), [0, 1, 2]);
    assert!(arrivals.is_empty());
}

#[test]
fn what_is_expected_is_counted() {
    let expected = Expected::new();
    assert!(!expected.any());
    (0..2).for_each(|_| expected.expect());
    expected.expect_no_more();
    assert!(expected.any());
    expected.expect_no_more();
    assert!(!expected.any());
}

/// A place in line: behind those who are in the ring, before those who come later.
#[test]
fn a_place_is_passed_when_all_before_it_have_left() {
    let q = Runq::new();
    let q = q.owner();
    let at_once = q.end();
    assert!(q.has_passed(at_once), "nobody is before it");
    for id in 0..2 {
        assert!(q.put_in_room(item(id)));
    }
    let (before, place) = (at_once, q.end());
    assert!(q.put_in_room(item(2)));
    for left in 0..3 {
        assert_eq!(
            (q.has_passed(before), q.has_passed(place)),
            (true, left == 2),
            "{left} have left"
        );
        q.get_from_ring();
    }
}
