//! Changes as bytes: a kind, then little-endian fields, then strings with their lengths before them.

use crate::change::Change;
use crate::op::{ABSOLUTE_MAX, KEY_MAX, VALUE_MAX};

/// And 2 when it is hidden.
const PUT: u8 = 1;
const PUT_EXPIRES: u8 = 3;
const PUT_HIDDEN_EXPIRES: u8 = 4;
const DELETE: u8 = 5;
const PURGE: u8 = 6;
const OBJECT: u8 = 7;
const REMOVE: u8 = 8;
const NEXT: u8 = 9;
const EXPIRE: u8 = 10;

/// Most bytes that a change takes beside its strings.
pub(super) const CHANGE_MAX: usize = 32;

fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Appends `change` to `out`.
pub(super) fn encode(change: &Change<'_>, out: &mut Vec<u8>) {
    let begin = |out: &mut Vec<u8>, kind: u8, space: u16| {
        out.push(kind);
        out.extend_from_slice(&space.to_le_bytes());
    };
    match *change {
        Change::Put { space, hidden, expiry, key, value } => {
            begin(out, PUT + u8::from(hidden) + 2 * u8::from(expiry != 0), space);
            if expiry != 0 {
                out.extend_from_slice(&expiry.to_le_bytes());
            }
            string(out, key);
            string(out, value);
        }
        Change::Delete { space, key } => {
            begin(out, DELETE, space);
            string(out, key);
        }
        Change::Expire { space, expiry, key } => {
            begin(out, EXPIRE, space);
            out.extend_from_slice(&expiry.to_le_bytes());
            string(out, key);
        }
        Change::Purge { space, prefix, last } => {
            begin(out, PURGE, space);
            string(out, prefix);
            string(out, last);
        }
        Change::Object { space, absolute, value } => {
            begin(out, OBJECT, space);
            out.extend_from_slice(&absolute.to_le_bytes());
            string(out, value);
        }
        Change::Remove { space, absolute } | Change::Next { space, absolute } => {
            let kind = if matches!(change, Change::Remove { .. }) { REMOVE } else { NEXT };
            begin(out, kind, space);
            out.extend_from_slice(&absolute.to_le_bytes());
        }
    }
}

struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn string(&mut self, most: usize) -> Option<&'a [u8]> {
        let len = u32::from_le_bytes(self.take()?) as usize;
        let (string, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        (len <= most).then_some(string)
    }

    fn absolute(&mut self, most: u64) -> Option<u64> {
        let absolute = u64::from_le_bytes(self.take()?);
        (1..=most).contains(&absolute).then_some(absolute)
    }
}

/// The change that `bytes` begin with, and the bytes behind it; `None` when it is none.
pub(super) fn decode(bytes: &[u8]) -> Option<(Change<'_>, &[u8])> {
    let mut fields = Fields(bytes);
    let [kind] = fields.take()?;
    let space = u16::from_le_bytes(fields.take()?);
    let change = match kind {
        PUT..=PUT_HIDDEN_EXPIRES => {
            let hidden = (kind - PUT) & 1 != 0;
            let expiry = if kind >= PUT_EXPIRES { u64::from_le_bytes(fields.take()?) } else { 0 };
            let (key, value) = (fields.string(KEY_MAX)?, fields.string(VALUE_MAX)?);
            Change::Put { space, hidden, expiry, key, value }
        }
        DELETE => Change::Delete { space, key: fields.string(KEY_MAX)? },
        EXPIRE => {
            let expiry = u64::from_le_bytes(fields.take()?);
            Change::Expire { space, expiry, key: fields.string(KEY_MAX)? }
        }
        PURGE => {
            let (prefix, last) = (fields.string(KEY_MAX)?, fields.string(KEY_MAX)?);
            Change::Purge { space, prefix, last }
        }
        OBJECT => {
            let absolute = fields.absolute(ABSOLUTE_MAX)?;
            Change::Object { space, absolute, value: fields.string(VALUE_MAX)? }
        }
        REMOVE => Change::Remove { space, absolute: fields.absolute(ABSOLUTE_MAX)? },
        NEXT => Change::Next { space, absolute: fields.absolute(ABSOLUTE_MAX + (1 << 16))? },
        _ => return None,
    };
    Some((change, fields.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_read_as_written_and_no_part_of_one_is() {
        let changes = [
            Change::Put { space: 0, hidden: false, expiry: 0, key: b"k", value: b"" },
            Change::Put { space: 9, hidden: true, expiry: 0, key: b"", value: b"v" },
            Change::Put { space: 9, hidden: false, expiry: 77, key: b"k", value: b"v" },
            Change::Put { space: 1, hidden: true, expiry: 1, key: b"k", value: b"v" },
            Change::Delete { space: 2, key: b"gone" },
            Change::Expire { space: 2, expiry: 9, key: b"k" },
            Change::Purge { space: 3, prefix: b"a", last: b"ab" },
            Change::Object { space: 4, absolute: ABSOLUTE_MAX, value: b"o" },
            Change::Remove { space: 5, absolute: 1 },
            Change::Next { space: 6, absolute: 2 },
        ];
        for change in changes {
            let mut bytes = Vec::new();
            encode(&change, &mut bytes);
            assert_eq!(decode(&bytes), Some((change, &b""[..])));
            for cut in 0..bytes.len() {
                assert_eq!(decode(&bytes[..cut]), None);
            }
        }
        assert_eq!(decode(&[0, 0, 0]), None);
        assert_eq!(decode(&[DELETE, 0, 0, 255, 255, 255, 255]), None);
    }
}
