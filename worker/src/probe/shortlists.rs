//! Who may still be among an asker's k nearest: for every asker the k smallest bounds from above on the offsets seen so far, and the states
//! that those do not rule out.
//!
//! [`centred`](super::centred) says what offsets, bases and spreads are.

/// Places in a shortlist beyond two for each neighbour.
const SPARE: usize = 16;

/// A state that may be near.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Entry {
    /// The fitted state.
    pub state: u32,
    /// Its base less the product with the asker's state: a bound on its offset from below.
    pub low: f32,
    /// The same with its spread: a bound from above.
    pub high: f32,
}

/// One shortlist for each asker.
#[derive(Debug, Default)]
pub(super) struct Shortlists {
    k: usize,
    capacity: usize,
    /// `[asker, k]`: the k smallest bounds from above, a heap with the largest in front.
    highs: Vec<f32>,
    /// `[asker, capacity]`.
    entries: Vec<Entry>,
    /// Entries of each asker, [`CROWDED`] for those that have too many.
    lengths: Vec<u32>,
}

/// Instead of a length: more states than there is room for are too near to be told apart.
const CROWDED: u32 = u32::MAX;

impl Shortlists {
    /// Empty lists for `askers`, of the k nearest among `states`, to be begun one by one.
    pub fn reset(&mut self, askers: usize, k: usize, states: usize) {
        self.k = k;
        self.capacity = (2 * k + SPARE).min(states);
        self.highs.resize(askers * k, f32::INFINITY);
        self.entries.resize(askers * self.capacity, Entry::default());
        self.lengths.resize(askers, 0);
    }

    /// Empties one list. At least k offsets are known to be no larger than `bound`.
    pub fn begin(&mut self, asker: usize, bound: f32) {
        self.highs[asker * self.k..][..self.k].fill(bound);
        self.lengths[asker] = 0;
    }

    /// Gives one list up.
    pub fn give_up(&mut self, asker: usize) {
        self.lengths[asker] = CROWDED;
    }

    /// The bound above which a state is no neighbour, NaN if the list was given up; `spread` is that of the asker's state.
    #[inline(always)]
    pub fn limit(&self, asker: usize, spread: f32) -> f32 {
        if self.lengths[asker] == CROWDED { f32::NAN } else { self.highs[asker * self.k] + spread }
    }

    /// The states that may be near, of which some may be ruled out by now; `None` if the list was given up.
    pub fn entries(&self, asker: usize) -> Option<&[Entry]> {
        let length = self.lengths[asker];
        (length != CROWDED).then(|| &self.entries[asker * self.capacity..][..length as usize])
    }

    /// Takes a state that stands for `weight` points; it must not have been taken before. `spread` is that of the asker's state.
    pub fn take(&mut self, asker: usize, entry: Entry, weight: usize, spread: f32) {
        let highs = &mut self.highs[asker * self.k..][..self.k];
        for _ in 0..weight {
            if entry.high < highs[0] {
                replace_largest(highs, entry.high);
            } else {
                break;
            }
        }
        let limit = highs[0] + spread;
        let length = self.lengths[asker] as usize;
        let entries = &mut self.entries[asker * self.capacity..][..self.capacity];
        if length < self.capacity {
            entries[length] = entry;
            self.lengths[asker] += 1;
            return;
        }
        let mut kept = 0;
        for place in 0..length {
            if entries[place].low <= limit {
                entries[kept] = entries[place];
                kept += 1;
            }
        }
        // A list that stays nearly full would be gone through at almost every state that follows.
        if kept + self.capacity / 8 < self.capacity {
            entries[kept] = entry;
            self.lengths[asker] = kept as u32 + 1;
        } else {
            self.lengths[asker] = CROWDED;
        }
    }
}

/// Puts a smaller number in the place of the largest of a heap.
#[inline(always)]
fn replace_largest(heap: &mut [f32], value: f32) {
    let mut place = 0;
    loop {
        let mut child = 2 * place + 1;
        if child + 1 < heap.len() && heap[child + 1] > heap[child] {
            child += 1;
        }
        if child >= heap.len() || heap[child] <= value {
            break;
        }
        heap[place] = heap[child];
        place = child;
    }
    heap[place] = value;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(lists: &mut Shortlists, offsets: impl Iterator<Item = f32>) {
        for (state, low) in offsets.enumerate() {
            if low <= lists.limit(0, 0.5) {
                lists.take(0, Entry { state: state as u32, low, high: low + 0.25 }, 1, 0.5);
            }
        }
    }

    #[test]
    fn the_limit_follows_the_kth_smallest_and_no_state_below_it_is_lost() {
        for k in [1, 2, 3, 7, 50] {
            let offsets: Vec<f32> = (0..997_u32).map(|i| (i * 613 % 997) as f32).collect();
            let mut lists = Shortlists::default();
            lists.reset(1, k, offsets.len());
            lists.begin(0, f32::INFINITY);
            offer(&mut lists, offsets.iter().copied());
            assert_eq!(lists.limit(0, 0.5), k as f32 - 1.0 + 0.75);
            let mut near: Vec<f32> = lists.entries(0).unwrap_or_default().iter().map(|entry| entry.low).collect();
            near.sort_unstable_by(f32::total_cmp);
            assert!((0..k).all(|rank| near[rank] == rank as f32));
        }
    }

    #[test]
    fn a_list_with_too_many_within_the_bound_is_given_up() {
        let mut lists = Shortlists::default();
        lists.reset(1, 3, 100);
        lists.begin(0, f32::INFINITY);
        offer(&mut lists, (0..100_u8).map(|i| f32::from(i % 2) * 0.25));
        assert!(lists.entries(0).is_none());
        assert!(lists.limit(0, 0.5).is_nan());
    }
}
