//! Between one list of pieces and windows.

use thiserror::Error;

use crate::program::{Piece, Ref, Window};

/// Raw bytes that are not there, or are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "the raw segments take {need} bytes, {have} are there; the original's blueprints store none, \
     so such a file cannot be rebuilt from them"
)]
pub struct MissingRaw {
    /// Bytes that the segments take.
    pub need: u64,
    /// Bytes that there are.
    pub have: u64,
}

/// Cuts `pieces`, which take `raw` in order, into windows of `window_bytes`, at least 1.
///
/// # Errors
/// When `raw` is not as long as the raw pieces.
pub fn windows(
    pieces: &[Piece],
    window_bytes: u32,
    mut raw: &[u8],
) -> Result<Vec<Window>, MissingRaw> {
    let need = raw_bytes(pieces);
    if need != raw.len() as u64 {
        return Err(MissingRaw { need, have: raw.len() as u64 });
    }
    let window_bytes = window_bytes.max(1);
    let mut windows = Vec::new();
    let mut window = Window::default();
    let mut room = window_bytes;
    for piece in pieces {
        let mut done = 0;
        while done < piece.len() {
            let len = room.min(piece.len() - done);
            window.pieces.push(match *piece {
                Piece::Ref(at) => {
                    Piece::Ref(Ref { offset: at.offset.wrapping_add(done.into()), len, ..at })
                }
                Piece::Raw(_) => {
                    let (now, later) = raw.split_at(len as usize);
                    window.raw.extend_from_slice(now);
                    raw = later;
                    Piece::Raw(len)
                }
            });
            done += len;
            room -= len;
            if room == 0 {
                windows.push(std::mem::take(&mut window));
                room = window_bytes;
            }
        }
    }
    if !window.pieces.is_empty() {
        windows.push(window);
    }
    Ok(windows)
}

/// The pieces of all windows, neighbours joined where one goes on as the other ends, and the raw
/// bytes.
#[must_use]
pub fn join(windows: &[Window]) -> (Vec<Piece>, Vec<u8>) {
    let mut pieces: Vec<Piece> = Vec::new();
    for piece in windows.iter().flat_map(|window| &window.pieces) {
        if !pieces.last_mut().is_some_and(|last| grow(last, piece)) {
            pieces.push(*piece);
        }
    }
    (pieces, windows.iter().flat_map(|window| window.raw.iter().copied()).collect())
}

/// Makes `last` longer by `next`, where that means the same.
pub(super) fn grow(last: &mut Piece, next: &Piece) -> bool {
    let Some(len) = last.len().checked_add(next.len()) else { return false };
    match (last, next) {
        (Piece::Raw(last), Piece::Raw(_)) => *last = len,
        (Piece::Ref(last), Piece::Ref(next))
            if last.transform == next.transform
                && last.offset.checked_add(last.len.into()) == Some(next.offset) =>
        {
            last.len = len;
        }
        _ => return false,
    }
    true
}

/// Bytes that the raw pieces take.
pub(super) fn raw_bytes(pieces: &[Piece]) -> u64 {
    let raw = |piece: &Piece| matches!(piece, Piece::Raw(_)).then_some(u64::from(piece.len()));
    pieces.iter().filter_map(raw).sum()
}
