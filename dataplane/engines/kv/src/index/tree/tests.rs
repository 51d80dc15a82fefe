//! The tree against `BTreeMap`.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::log::Head;
use crate::record::Draft;

struct Rig {
    log: Log,
    arena: LeafArena,
    tree: Tree,
    model: BTreeMap<Vec<u8>, Loc>,
}

impl Rig {
    fn new() -> Self {
        let (log, arena) = (Log::new(64 << 20).unwrap(), LeafArena::new(64 << 20).unwrap());
        Self { log, arena, tree: Tree::default(), model: BTreeMap::new() }
    }

    fn put(&mut self, key: &[u8]) {
        let [place] = self.places([key]);
        self.put_at(&place, key);
    }

    fn places<const N: usize>(&self, keys: [&[u8]; N]) -> [Place; N] {
        let mut places = [Place::NONE; N];
        self.tree.prefetch(&self.arena, &keys.map(Some), &mut places);
        places
    }

    /// Puts `key`, whose place was found some time ago.
    fn put_at(&mut self, place: &Place, key: &[u8]) {
        let draft = Draft { space: 0, flags: 0, expiry: 0, key, value: b"" };
        let loc = self.log.append(Head::Write, &draft, || u64::MAX).unwrap();
        match self.model.insert(key.to_vec(), loc) {
            Some(old) => assert!(self.tree.replace(&mut self.arena, key, old, loc)),
            None => self.tree.insert(&mut self.arena, &self.log, place, key, loc).unwrap(),
        }
    }

    fn delete(&mut self, key: &[u8]) {
        let loc = self.model.remove(key);
        let removed = self.tree.remove(&mut self.arena, &self.log, key, loc.unwrap_or(1));
        assert_eq!(removed, loc.is_some());
    }

    fn from(&self, key: &[u8]) -> Vec<Loc> {
        let mut walk = self.tree.walk(&self.arena, &self.log, key);
        let mut found = Vec::new();
        while let Some(run) = walk.run() {
            found.extend_from_slice(run);
        }
        found
    }

    fn check(&self, from: &[u8]) {
        let want: Vec<Loc> = self.model.range(from.to_vec()..).map(|(_, &loc)| loc).collect();
        assert_eq!(self.from(from), want);
        assert_eq!(self.tree.len(), self.model.len() as u64);
        assert_eq!(self.tree.last(&self.arena), self.model.values().last().copied());
    }
}

fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    *seed >> 33
}

/// Keys that share long prefixes, are prefixes of others, and hold zeros.
fn odd_key(n: u64) -> Vec<u8> {
    let stem: &[u8] = match n % 4 {
        0 => b"",
        1 => &[0; 40],
        2 => b"http://www.example.org/a/long/way/",
        _ => b"k",
    };
    let mut key = stem.to_vec();
    key.extend_from_slice(&n.to_be_bytes()[(n % 8) as usize..]);
    key.resize(key.len() + (n % 3) as usize, 0);
    key
}

#[test]
fn any_keys_in_any_order_growing_and_shrinking() {
    let (mut rig, mut seed) = (Rig::new(), 7);
    for round in 0..6 {
        for _ in 0..6_000 {
            let key = odd_key(next(&mut seed) % 30_000);
            if next(&mut seed) % 8 < if round % 2 == 0 { 2 } else { 6 } {
                rig.delete(&key);
            } else {
                rig.put(&key);
            }
        }
        rig.check(b"");
        for _ in 0..20 {
            rig.check(&odd_key(next(&mut seed) % 30_000));
        }
    }
    let keys: Vec<Vec<u8>> = rig.model.keys().cloned().collect();
    for key in keys {
        rig.delete(&key);
    }
    rig.check(b"");
    assert!(rig.tree.height == 0, "an empty tree is one leaf, not {} levels", rig.tree.height);
}

#[test]
fn places_hold_whatever_came_between() {
    let (mut rig, mut seed) = (Rig::new(), 3);
    for round in 0..800u64 {
        let keys: [_; 16] = std::array::from_fn(|_| odd_key(next(&mut seed) % 20_000));
        let places = rig.places(keys.each_ref().map(|key| &key[..]));
        for (key, place) in keys.iter().zip(&places) {
            // Rounds that delete more than they put merge leaves and nodes between.
            for _ in 0..if round % 200 > 120 { 3 } else { 0 } {
                rig.delete(&odd_key(next(&mut seed) % 20_000));
            }
            rig.put_at(place, key);
        }
        if round % 50 == 0 {
            rig.check(b"");
        }
    }
    let [place] = rig.places([b"a"]);
    rig.tree.clear(&mut rig.arena);
    rig.model.clear();
    rig.put_at(&place, b"a");
    rig.check(b"");
}

#[test]
fn ascending_keys_fill_their_leaves() {
    let mut rig = Rig::new();
    for n in 0..100_000u64 {
        rig.put(format!("user:{n:012}").as_bytes());
    }
    rig.check(b"user:");
    let bytes = (rig.arena.bytes() + rig.tree.bytes()) as f64 / 100_000.0;
    assert!(bytes < 10.0, "{bytes} bytes per entry");
}

#[test]
fn a_queue_does_not_leave_leaves_behind() {
    let mut rig = Rig::new();
    for n in 0..100_000u64 {
        rig.put(&n.to_be_bytes());
        if n >= 1000 {
            rig.delete(&(n - 1000).to_be_bytes());
        }
    }
    rig.check(b"");
    assert!(rig.arena.bytes() < 100_000, "{} bytes for 1000 entries", rig.arena.bytes());
    rig.tree.clear(&mut rig.arena);
    rig.model.clear();
    rig.check(b"");
}

proptest! {
    #[test]
    fn short_keys(ops in prop::collection::vec((any::<bool>(), prop::collection::vec(0u8..3, 0..7)), 0..600)) {
        let mut rig = Rig::new();
        for (put, key) in &ops {
            if *put { rig.put(key) } else { rig.delete(key) }
        }
        rig.check(b"");
        for (_, key) in ops.iter().take(20) {
            rig.check(key);
        }
    }
}

#[test]
fn heads_are_the_next_bytes_and_zeros() {
    let key = b"0123456789abcdef";
    for skip in 0..=key.len() + 1 {
        for end in 0..=key.len() {
            let mut bytes = [0; 8];
            let rest = key[..end].get(skip..).unwrap_or_default();
            bytes.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            let head = u64::from_be_bytes(bytes);
            assert_eq!(head_of(&key[..end], skip), head, "{skip} {end}");
            assert_eq!(slice_of(&key[..end], skip), (head >> 32) as u32, "{skip} {end}");
        }
    }
}
