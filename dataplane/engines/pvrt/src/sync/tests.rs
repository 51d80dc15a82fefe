//! Both halves against each other: what comes out, what it takes, and what hostile messages do.

use std::io;

use proptest::prelude::*;

use super::{Receiver, Reply, Sender, Sink, Spent, SyncError, Tree};

const KEY: [u8; 32] = [3; 32];

/// Files being made.
#[derive(Debug, Default)]
struct Made<'a> {
    old: &'a [Vec<u8>],
    files: Vec<Vec<u8>>,
}

impl Sink for Made<'_> {
    fn write(&mut self, file: usize, size: u64, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = offset as usize + bytes.len();
        assert!(end as u64 <= size, "{end} of {size}");
        let made = &mut self.files[file];
        made.resize(made.len().max(end), 0);
        made[offset as usize..end].copy_from_slice(bytes);
        Ok(())
    }

    fn same(&mut self, file: usize, old: usize) -> io::Result<()> {
        self.files[file] = self.old[old].clone();
        Ok(())
    }
}

/// Runs a sync; `spoil` may change each message on its way, told which side it is for.
fn run(
    new: &Vec<Vec<u8>>,
    old: &Vec<Vec<u8>>,
    bases: Vec<Option<usize>>,
    shared: Option<&Vec<Vec<u8>>>,
    mut spoil: impl FnMut(bool, Vec<u8>) -> Vec<u8>,
) -> Result<(Vec<Vec<u8>>, Spent), SyncError> {
    let mut made = Made { old, files: vec![Vec::new(); new.len()] };
    let mut sender = Sender::new(new, KEY, 1)?;
    if let Some(shared) = shared {
        sender = sender.with_bases(shared);
    }
    let mut receiver = Receiver::new(old, bases, KEY)?;
    while !sender.is_done() {
        let mut asked = false;
        while let Some(message) = sender.message()? {
            asked = true;
            let reply = receiver.take(&spoil(true, message), &mut made)?;
            if let Reply::Send(said) | Reply::Done(said) = reply {
                sender.answer(&spoil(false, said))?;
            }
        }
        if !asked {
            // Both wait for each other, which only a spoiled message brings about.
            return Err(SyncError::Truncated);
        }
    }
    Ok((made.files, sender.spent()))
}

fn plain(_: bool, message: Vec<u8>) -> Vec<u8> {
    message
}

/// Bytes that do not compress, and differ by `seed`.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// An edit: where (a share of the length), how much goes, what comes.
type Edit = (f64, usize, Vec<u8>);

fn edited(mut bytes: Vec<u8>, edits: &[Edit]) -> Vec<u8> {
    for (at, gone, new) in edits {
        let from = (bytes.len() as f64 * at) as usize;
        let to = bytes.len().min(from + gone);
        bytes.splice(from..to, new.iter().copied());
    }
    bytes
}

fn edit() -> impl Strategy<Value = Edit> {
    (0.0..1.0, 0_usize..600, prop::collection::vec(any::<u8>(), 0..400))
}

/// Bytes with much or little in them.
fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (any::<u64>(), 0_usize..40_000).prop_map(|(seed, len)| noise(seed, len)),
        (0_u8..4, 0_usize..20_000).prop_map(|(byte, len)| vec![byte; len]),
        (1_usize..300, 0_usize..20_000).prop_map(|(period, len)| noise(1, period)
            .into_iter()
            .cycle()
            .take(len)
            .collect()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("PFS_PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(48)
    ))]

    #[test]
    fn what_comes_out_is_what_was_sent(
        old in prop::collection::vec(content(), 0..5),
        picks in prop::collection::vec(
            (any::<prop::sample::Index>(), any::<bool>(), prop::collection::vec(edit(), 0..6)), 0..6),
        fresh in prop::collection::vec(content(), 0..2),
        shared in any::<bool>(),
    ) {
        let mut new = fresh;
        let mut bases = vec![None; new.len()];
        for (pick, based, edits) in picks.iter().filter(|_| !old.is_empty()) {
            let from = pick.index(old.len());
            new.push(edited(old[from].clone(), edits));
            bases.push(based.then_some(from));
        }
        let (made, _) = run(&new, &old, bases, shared.then_some(&old), plain).expect("agrees");
        prop_assert_eq!(made, new);
    }

    #[test]
    fn spoiled_messages_are_errors_or_repaired(
        seed in any::<u64>(), edits in prop::collection::vec(edit(), 0..5),
        which in 0_usize..30, at in any::<prop::sample::Index>(), flip in 1_u8..=255,
        cut in any::<bool>(), shared in any::<bool>(),
    ) {
        let old = vec![noise(seed, 30_000), b"abc".repeat(900), noise(1, 5)];
        let new = vec![edited(old[0].clone(), &edits), edited(old[1].clone(), &edits), noise(2, 9000)];
        let mut n = 0;
        let spoil = |_, mut message: Vec<u8>| {
            n += 1;
            let at = at.index(message.len());
            if n - 1 == which {
                if cut { message.truncate(at) } else { message[at] ^= flip }
            }
            message
        };
        let bases = vec![Some(0), Some(1), None];
        // Whatever is accepted in the end is right.
        if let Ok((made, _)) = run(&new, &old, bases, shared.then_some(&old), spoil) {
            prop_assert_eq!(made, new);
        }
    }

    #[test]
    fn noise_in_place_of_messages_is_refused(
        messages in prop::collection::vec(
            (0_u8..12, prop::collection::vec(any::<u8>(), 0..200)), 0..8),
    ) {
        let old = vec![noise(0, 5000); 3];
        let mut receiver = Receiver::new(&old, vec![Some(0), None, Some(9)], KEY).expect("reads");
        let mut sender = Sender::new(&old, KEY, 1).expect("reads");
        let mut made = Made { old: &old, files: vec![Vec::new(); 3] };
        for (kind, body) in messages {
            let message: Vec<u8> = [kind].into_iter().chain(body).collect();
            let _ = receiver.take(&message, &mut made);
            let _ = sender.message();
            let _ = sender.answer(&message);
        }
    }
}

#[test]
fn an_unchanged_file_takes_next_to_nothing() {
    let file = vec![noise(1, 10 << 20)];
    let (made, spent) = run(&file, &file, vec![Some(0)], None, plain).expect("agrees");
    assert!(made == file);
    assert!(spent.total() < 100, "{spent:?}");
}

#[test]
fn a_moved_file_and_a_small_edit_take_little() {
    let old = vec![noise(1, 3 << 20), noise(2, 100_000), noise(3, 50_000)];
    let edit = (0.4, 10, b"something else".to_vec());
    let new = vec![noise(2, 100_000), edited(old[0].clone(), &[edit])];
    let (made, spent) = run(&new, &old, vec![None, Some(0)], None, plain).expect("agrees");
    assert!(made == new);
    assert!(spent.total() < 600, "{spent:?}");
}

#[test]
fn chunks_are_found_in_any_file() {
    let old = vec![noise(1, 60_000), noise(2, 60_000)];
    let new = vec![[&old[1][1000..50_000], &noise(5, 100), &old[0][3000..]].concat()];
    let (made, spent) = run(&new, &old, vec![None], None, plain).expect("agrees");
    assert!(made == new);
    assert!(spent.total() < 3000, "{spent:?}");
}

#[test]
fn a_base_at_both_ends_needs_no_round() {
    let old = vec![noise(1, 200_000)];
    let new = vec![edited(old[0].clone(), &[(0.2, 3, b"x".to_vec()), (0.7, 0, b"yz".to_vec())])];
    let (made, spent) = run(&new, &old, vec![Some(0)], Some(&old), plain).expect("agrees");
    assert!(made == new);
    assert_eq!(spent.rounds, 0);
    assert!(spent.total() < 300, "{spent:?}");
}

/// Files that the sender reads otherwise the second time.
struct Restless(Vec<Vec<u8>>, std::cell::Cell<u32>);

impl Tree for Restless {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn read(&self, file: usize) -> io::Result<std::borrow::Cow<'_, [u8]>> {
        self.1.set(self.1.get() + 1);
        let mut bytes = self.0[file].clone();
        bytes[0] = self.1.get() as u8;
        Ok(bytes.into())
    }
}

#[test]
fn a_file_that_changes_meanwhile_is_an_error() {
    let files = Restless(vec![noise(1, 5000)], std::cell::Cell::new(0));
    let old = vec![noise(1, 5000)];
    let mut sender = Sender::new(&files, KEY, 1).expect("reads");
    let mut receiver = Receiver::new(&old, vec![Some(0)], KEY).expect("reads");
    let mut made = Made { old: &old, files: vec![Vec::new()] };
    let why = loop {
        let message = sender.message().expect("reads").expect("its turn");
        match receiver.take(&message, &mut made) {
            Ok(Reply::Send(said) | Reply::Done(said)) => sender.answer(&said).expect("fits"),
            Ok(Reply::None) => {}
            Err(why) => break why,
        }
    };
    assert_eq!(why, SyncError::Restless(0));
}
