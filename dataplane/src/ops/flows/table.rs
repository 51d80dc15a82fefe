//! A bounded table of streams, the least recently used of which makes room for a new one.

use std::hash::{BuildHasher, RandomState};

use super::StreamKey;

/// No entry.
const NONE: u32 = u32::MAX;

/// Why a stream left the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// A new stream needed its place.
    Evicted,
    /// Nothing came for too long.
    TimedOut,
    /// The run is over.
    Over,
}

/// Where a stream is.
#[derive(Clone, Copy, Debug)]
pub struct Place(u32);

/// Streams by key.
///
/// Takes its index and the room for its entries when it is made, and nothing after that. Hashes
/// are keyed by a secret of the process, so that nobody can choose keys that collide.
#[derive(Debug)]
pub struct FlowTable<S> {
    entries: Vec<Entry<S>>,
    most: usize,
    /// Open addressing, half full at most: places in `entries`, or [`NONE`].
    index: Box<[u32]>,
    hasher: RandomState,
    /// Most recently used.
    newest: u32,
    oldest: u32,
    /// First of a chain of free entries.
    free: u32,
}

#[derive(Debug)]
struct Entry<S> {
    key: StreamKey,
    hash: u32,
    newer: u32,
    older: u32,
    used_ns: u64,
    state: S,
}

impl<S: Default> FlowTable<S> {
    /// A table of at most `most` streams, 1 to 2^30.
    #[must_use]
    pub fn new(most: u32) -> Self {
        let most = most.clamp(1, 1 << 30) as usize;
        Self {
            entries: Vec::with_capacity(most),
            most,
            index: vec![NONE; (2 * most).next_power_of_two()].into(),
            hasher: RandomState::new(),
            newest: NONE,
            oldest: NONE,
            free: NONE,
        }
    }

    /// The place of the stream `key`, used at `now_ns`; whether it is new. One that has to go for
    /// it is passed to `ended` first, which must leave its state as a new one's.
    pub fn enter(
        &mut self,
        key: &StreamKey,
        now_ns: u64,
        ended: impl FnOnce(&StreamKey, &mut S, Ended),
    ) -> (Place, bool) {
        let hash = self.hasher.hash_one(key) as u32;
        let (at, new) = match self.find(key, hash) {
            Some(at) => (at, false),
            None => (self.insert(key, hash, ended), true),
        };
        self.use_now(at, now_ns);
        (Place(at), new)
    }

    /// The stream at a place that [`Self::enter`] gave, as long as it was not ended since.
    pub fn at(&mut self, place: Place) -> (&StreamKey, &mut S) {
        let entry = &mut self.entries[place.0 as usize];
        (&entry.key, &mut entry.state)
    }

    /// Takes out streams that were last used `idle_ns` or more before `now_ns`, oldest first.
    pub fn expire(
        &mut self,
        now_ns: u64,
        idle_ns: u64,
        mut ended: impl FnMut(&StreamKey, &mut S, Ended),
    ) {
        while let Some(oldest) = self.entries.get(self.oldest as usize) {
            if now_ns.saturating_sub(oldest.used_ns) < idle_ns {
                break;
            }
            self.remove(self.oldest, Ended::TimedOut, &mut ended);
        }
    }

    /// Takes all streams out, oldest first.
    pub fn drain(&mut self, mut ended: impl FnMut(&StreamKey, &mut S, Ended)) {
        while self.oldest != NONE {
            self.remove(self.oldest, Ended::Over, &mut ended);
        }
    }

    fn find(&self, key: &StreamKey, hash: u32) -> Option<u32> {
        let mut slot = self.home(hash);
        loop {
            let at = self.index[slot];
            let entry = self.entries.get(at as usize)?;
            if entry.hash == hash && entry.key == *key {
                return Some(at);
            }
            slot = self.after(slot);
        }
    }

    const fn home(&self, hash: u32) -> usize {
        hash as usize & (self.index.len() - 1)
    }

    const fn after(&self, slot: usize) -> usize {
        (slot + 1) & (self.index.len() - 1)
    }

    fn insert(
        &mut self,
        key: &StreamKey,
        hash: u32,
        ended: impl FnOnce(&StreamKey, &mut S, Ended),
    ) -> u32 {
        if self.free == NONE && self.entries.len() == self.most {
            self.remove(self.oldest, Ended::Evicted, ended);
        }
        let at = if let Some(entry) = self.entries.get_mut(self.free as usize) {
            let at = self.free;
            self.free = entry.older;
            (entry.key, entry.hash) = (*key, hash);
            at
        } else {
            let state = S::default();
            let entry = Entry { key: *key, hash, newer: NONE, older: NONE, used_ns: 0, state };
            self.entries.push(entry);
            self.entries.len() as u32 - 1
        };
        let mut slot = self.home(hash);
        while self.index[slot] != NONE {
            slot = self.after(slot);
        }
        self.index[slot] = at;
        self.link(at);
        at
    }

    fn remove(&mut self, at: u32, why: Ended, ended: impl FnOnce(&StreamKey, &mut S, Ended)) {
        let entry = &mut self.entries[at as usize];
        ended(&entry.key, &mut entry.state, why);
        let hash = entry.hash;
        self.unlink(at);
        let mut hole = self.home(hash);
        while self.index[hole] != at {
            hole = self.after(hole);
        }
        self.close(hole);
        self.entries[at as usize].older = self.free;
        self.free = at;
    }

    /// Empties the slot `hole` and moves those behind it up, so that every probe still ends right.
    fn close(&mut self, mut hole: usize) {
        let mask = self.index.len() - 1;
        let mut slot = hole;
        loop {
            self.index[hole] = NONE;
            loop {
                slot = (slot + 1) & mask;
                let Some(entry) = self.entries.get(self.index[slot] as usize) else { return };
                let home = entry.hash as usize & mask;
                // It may move if its home is not between the hole and where it is.
                if slot.wrapping_sub(home) & mask >= slot.wrapping_sub(hole) & mask {
                    break;
                }
            }
            self.index[hole] = self.index[slot];
            hole = slot;
        }
    }

    fn use_now(&mut self, at: u32, now_ns: u64) {
        if self.newest != at {
            self.unlink(at);
            self.link(at);
        }
        self.entries[at as usize].used_ns = now_ns;
    }

    /// Puts an entry that is in no chain at the front.
    fn link(&mut self, at: u32) {
        let before = std::mem::replace(&mut self.newest, at);
        let entry = &mut self.entries[at as usize];
        (entry.newer, entry.older) = (NONE, before);
        match self.entries.get_mut(before as usize) {
            Some(before) => before.newer = at,
            None => self.oldest = at,
        }
    }

    fn unlink(&mut self, at: u32) {
        let Entry { newer, older, .. } = self.entries[at as usize];
        match self.entries.get_mut(newer as usize) {
            Some(entry) => entry.older = older,
            None => self.newest = older,
        }
        match self.entries.get_mut(older as usize) {
            Some(entry) => entry.newer = newer,
            None => self.oldest = newer,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(sender: u32) -> StreamKey {
        StreamKey { sender, ..StreamKey::default() }
    }

    #[derive(Clone, Debug)]
    enum Act {
        Enter(u32),
        Expire(u64),
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let act = prop_oneof![
            8 => (0..40u32).prop_map(Act::Enter),
            1 => (0..30u64).prop_map(Act::Expire),
        ];
        prop::collection::vec(act, 0..400)
    }

    proptest! {
        /// Against a list in order of use.
        #[test]
        fn it_is_a_list_in_order_of_use(most in 1..24u32, acts in acts()) {
            let mut table = FlowTable::<u32>::new(most);
            let mut model: Vec<(u32, u32, u64)> = Vec::new();
            for (now, act) in (0u64..).zip(acts) {
                let mut gone = Vec::new();
                match act {
                    Act::Enter(name) => {
                        let (place, new) = table.enter(&key(name), now, |key, state, why| {
                            assert_eq!(why, Ended::Evicted);
                            gone.push((key.sender, std::mem::take(state)));
                        });
                        let state = table.at(place).1;
                        *state += 1;
                        let now_there = *state;
                        let known = model.iter().position(|entry| entry.0 == name);
                        prop_assert_eq!(new, known.is_none());
                        let count = known.map_or(0, |at| model.remove(at).1);
                        if new && model.len() == most as usize {
                            let (name, count, _) = model.remove(0);
                            prop_assert_eq!(&gone, &[(name, count)]);
                        } else {
                            prop_assert!(gone.is_empty());
                        }
                        prop_assert_eq!(now_there, count + 1);
                        model.push((name, count + 1, now));
                    }
                    Act::Expire(idle) => {
                        table.expire(now, idle, |key, state, _| {
                            gone.push((key.sender, std::mem::take(state)));
                        });
                        let stale = model.iter().take_while(|entry| now - entry.2 >= idle).count();
                        let expected: Vec<_> =
                            model.drain(..stale).map(|(name, count, _)| (name, count)).collect();
                        prop_assert_eq!(gone, expected);
                    }
                }
            }
            let mut left = Vec::new();
            table.drain(|key, state, _| left.push((key.sender, std::mem::take(state))));
            let expected: Vec<_> = model.iter().map(|&(name, count, _)| (name, count)).collect();
            prop_assert_eq!(left, expected);
            prop_assert!(table.index.iter().all(|&slot| slot == NONE));
        }
    }
}
