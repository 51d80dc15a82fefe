//! What a receiver asks for again, and how it says so.
//!
//! A list is one entry after the other, each a varint of the zigzagged difference to the window of the
//! entry before (of the first: to 0) × 4 + tag, then:
//!
//! | tag | follows | asks for |
//! |---|---|---|
//! | 0 | number of windows | these windows |
//! | 1 | number of windows | these windows, without references |
//! | 2 | kind, step, total, first fragment, number of fragments | these fragments |
//! | 3 | fragments between the entry before and the first, number of fragments | more fragments of the same |
//!
//! All are varints.

use thiserror::Error;

use super::frame::{Header, Kind};
use super::varint::{put, take, unzigzag, zigzag};

/// Something that has not arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// Whole windows.
    Windows {
        /// The first one.
        first: u32,
        /// How many; at least 1.
        count: u32,
        /// Without references: those failed at the receiver.
        raw: bool,
    },
    /// Fragments of a window that has begun to arrive.
    Fragments {
        /// The window.
        window: u32,
        /// What the fragments are of.
        kind: Kind,
        /// Payload bytes of each but the last.
        step: u16,
        /// Bytes of all fragments together.
        total: u32,
        /// The first one that is missing.
        first: u16,
        /// How many are; at least 1.
        count: u16,
    },
}

impl Wanted {
    /// The window, or the first one.
    #[must_use]
    pub const fn window(&self) -> u32 {
        match self {
            Self::Windows { first, .. } => *first,
            Self::Fragments { window, .. } => *window,
        }
    }

    /// Whether a receiver can want this.
    fn is_possible(&self) -> bool {
        match *self {
            Self::Windows { first, count, .. } => count > 0 && first.checked_add(count).is_some(),
            Self::Fragments { window, kind, step, total, first, count } => {
                let Some(last) = first.checked_add(count).and_then(|end| end.checked_sub(1)) else {
                    return false;
                };
                let header = Header {
                    kind,
                    encrypted: false,
                    transfer: 0,
                    window,
                    sequence: 0,
                    fragment: last,
                    step,
                    total,
                };
                count > 0 && matches!(kind, Kind::Direct | Kind::Part) && header.is_possible()
            }
        }
    }
}

/// Bytes that are no list of what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("byte {0} of the list of what is wanted again is not possible there")]
pub struct WantedError(pub usize);

/// Appends `list` to `out`.
pub fn write(list: &[Wanted], out: &mut Vec<u8>) {
    let (mut window, mut before) = (0, None);
    for wanted in list {
        let delta = zigzag(i64::from(wanted.window()) - i64::from(window)) << 2;
        window = wanted.window();
        match *wanted {
            Wanted::Windows { count, raw, .. } => {
                put(delta | u64::from(raw), out);
                put(u64::from(count), out);
                before = None;
            }
            Wanted::Fragments { window, kind, step, total, first, count } => {
                let shape = (window, kind, step, total);
                match before.filter(|(same, end)| *same == shape && *end <= first) {
                    Some((_, end)) => {
                        put(3, out);
                        put(u64::from(first - end), out);
                    }
                    None => {
                        put(delta | 2, out);
                        for value in [kind as u32, u32::from(step), total, u32::from(first)] {
                            put(u64::from(value), out);
                        }
                    }
                }
                put(u64::from(count), out);
                before = Some((shape, first.saturating_add(count)));
            }
        }
    }
}

/// Reads a list; it has no more entries than half the bytes.
///
/// # Errors
/// Where it is broken.
pub fn read(bytes: &[u8]) -> Result<Vec<Wanted>, WantedError> {
    let (mut rest, mut list) = (bytes, Vec::new());
    while !rest.is_empty() {
        let at = WantedError(bytes.len() - rest.len());
        let wanted = entry(&mut rest, list.last()).filter(Wanted::is_possible).ok_or(at)?;
        list.push(wanted);
    }
    Ok(list)
}

fn entry(rest: &mut &[u8], before: Option<&Wanted>) -> Option<Wanted> {
    let head = take(rest)?;
    let from = before.map_or(0, |before| i64::from(before.window()));
    let window = u32::try_from(from.checked_add(unzigzag(head >> 2))?).ok()?;
    let mut word = || u32::try_from(take(rest)?).ok();
    let short = |word: u32| u16::try_from(word).ok();
    match (head & 3, before) {
        (tag @ 0..=1, _) => Some(Wanted::Windows { first: window, count: word()?, raw: tag == 1 }),
        (2, _) => {
            let kind = match word()? {
                0 => Kind::Direct,
                1 => Kind::Part,
                _ => return None,
            };
            let (step, total) = (short(word()?)?, word()?);
            let (first, count) = (short(word()?)?, short(word()?)?);
            Some(Wanted::Fragments { window, kind, step, total, first, count })
        }
        (_, Some(&Wanted::Fragments { window: same, kind, step, total, first, count }))
            if same == window =>
        {
            let first = first.checked_add(count)?.checked_add(short(word()?)?)?;
            let count = short(word()?)?;
            Some(Wanted::Fragments { window, kind, step, total, first, count })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wanted() -> impl Strategy<Value = Wanted> {
        let windows = (0..u32::MAX / 2, 1..1_000_u32, any::<bool>())
            .prop_map(|(first, count, raw)| Wanted::Windows { first, count, raw });
        let fragments = (0..9_u32, any::<bool>(), 512..2_000_u16, 1..40_u16, 0..40_u16, 1..9_u16);
        let fragments = fragments.prop_map(|(window, part, step, beyond, first, count)| {
            let kind = if part { Kind::Part } else { Kind::Direct };
            let total = u32::from(step) * u32::from(first + count + beyond);
            Wanted::Fragments { window, kind, step, total, first, count }
        });
        prop_oneof![windows, fragments]
    }

    proptest! {
        #[test]
        fn lists_are_read_back(list in prop::collection::vec(wanted(), 0..30)) {
            let mut bytes = Vec::new();
            write(&list, &mut bytes);
            prop_assert_eq!(read(&bytes), Ok(list.clone()));
            for len in 0..bytes.len() {
                if let Ok(read) = read(&bytes[..len]) {
                    prop_assert!(list.starts_with(&read));
                }
            }
        }

        #[test]
        fn any_bytes_are_a_list_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(list) = read(&bytes) {
                prop_assert!(list.len() * 2 <= bytes.len());
                let mut again = Vec::new();
                write(&list, &mut again);
                prop_assert_eq!(read(&again), Ok(list));
            }
        }
    }

    #[test]
    fn runs_of_one_window_are_short() {
        let of = |first, count| Wanted::Fragments {
            window: 9,
            kind: Kind::Direct,
            step: 1_368,
            total: 65_544,
            first,
            count,
        };
        let mut bytes = Vec::new();
        write(&[of(3, 1), of(9, 2), of(40, 1)], &mut bytes);
        assert_eq!(bytes.len(), 1 + 1 + 2 + 3 + 1 + 1 + 3 + 3);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for bad in
            [&[0][..], &[0, 0], &[3, 0, 1], &[2, 0, 0, 9, 0, 1], &[4 << 2 | 4, 1], &[0, 1, 3, 0, 1]]
        {
            assert!(read(bad).is_err(), "{bad:?}");
        }
        assert_eq!(read(&[0, 1, 0, 0]), Err(WantedError(2)));
    }
}
