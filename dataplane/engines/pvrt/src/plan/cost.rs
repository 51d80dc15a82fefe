//! What a window takes when it is sent.

use crate::program::{Piece, Transform, Window};

const fn varint(value: u64) -> usize {
    (64 - (value | 1).leading_zeros()).div_ceil(7) as usize
}

/// Bytes of a piece beside its raw bytes: its kind, its length as a varint, and for a reference
/// the immediate and the zigzag varint from where the reference before ended, `end`.
const fn piece(piece: &Piece, end: u64) -> usize {
    match piece {
        Piece::Raw(len) => 1 + varint(*len as u64),
        Piece::Ref(at) => {
            let step = at.offset.wrapping_sub(end) as i64;
            let zigzag = (step << 1 ^ step >> 63) as u64;
            let imm = !matches!(at.transform, Transform::Identity) as usize;
            1 + imm + varint(zigzag) + varint(at.len as u64)
        }
    }
}

/// Bytes of a window's pieces, when the reference before its first ended at `end`; and where its
/// last reference ends.
#[must_use]
pub fn pieces(pieces: &[Piece], mut end: u64) -> (usize, u64) {
    let mut bytes = 0;
    for each in pieces {
        bytes += piece(each, end);
        if let Piece::Ref(at) = each {
            end = at.offset.wrapping_add(u64::from(at.len));
        }
    }
    (bytes, end)
}

/// Bytes of a window: of its pieces, and of its raw bytes as zstd packs them at its level, or as
/// they are when that is less.
pub(super) fn window(window: &Window, end: u64, zstd: &mut zstd::bulk::Compressor<'_>) -> usize {
    let raw = window.raw.len();
    let packed = if raw == 0 { 0 } else { zstd.compress(&window.raw).map_or(raw, |all| all.len()) };
    pieces(&window.pieces, end).0 + packed.min(raw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Ref;

    #[test]
    fn near_offsets_are_cheap() {
        let at = |offset, transform| Piece::Ref(Ref { offset, len: 100, transform });
        let id = Transform::Identity;
        assert_eq!(pieces(&[at(1000, id)], 1000), (3, 1100));
        assert_eq!(pieces(&[at(1000, Transform::Xor(1)), at(1110, id)], 1000), (7, 1210));
        assert_eq!(pieces(&[at(1 << 48, id)], 0).0, 10);
        assert_eq!(pieces(&[Piece::Raw(127), Piece::Raw(128)], 7), (5, 7));
    }
}
