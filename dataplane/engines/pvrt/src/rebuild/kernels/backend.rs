//! What all levels share: the loop over a window's pieces, and the loop over a piece's vectors.

use crate::program::{Piece, Transform};
use crate::rebuild::RebuildError;
use crate::space::Space;

/// How far ahead of the bytes being made sources are fetched, in bytes of the file.
const AHEAD: u64 = 4 << 10;
/// Bytes fetched of a source; beyond them the processor sees the stream by itself.
const FETCHED: usize = 512;
/// Bytes of a cache line.
const LINE: usize = 64;
/// Shortest piece that is streamed: shorter ones share too many lines with their neighbours.
const STREAMED: usize = 1 << 10;

/// An instruction set's way to move bytes.
pub(super) trait Backend {
    /// Writes `from`, changed, into `into`, which is as long; past the caches with `streaming`,
    /// where the backend can.
    ///
    /// # Safety
    /// The backend's instruction set must be available.
    unsafe fn put<C: Change>(from: &[u8], into: &mut [u8], imm: u8, streaming: bool);

    /// Asks for the line at `at`, which may be anywhere.
    fn fetch(at: *const u8);

    /// Makes streamed bytes visible to other threads in the order of the program.
    fn fence();
}

/// A register full of bytes.
pub(super) trait Vector: Copy {
    /// Its size; a power of two.
    const BYTES: usize;

    /// `byte` in all places.
    ///
    /// # Safety
    /// The instruction set must be available, here and below.
    unsafe fn splat(byte: u8) -> Self;
    /// # Safety
    /// `BYTES` bytes can be read at `from`.
    unsafe fn load(from: *const u8) -> Self;
    /// # Safety
    /// `BYTES` bytes can be written at `to`.
    unsafe fn store(self, to: *mut u8);
    /// # Safety
    /// `BYTES` bytes can be written at `to`, which is aligned to as many.
    unsafe fn stream(self, to: *mut u8);
    /// # Safety
    /// As of [`Self::splat`].
    unsafe fn xor(self, other: Self) -> Self;
    /// Byte by byte, modulo 256.
    ///
    /// # Safety
    /// As of [`Self::splat`].
    unsafe fn add(self, other: Self) -> Self;
    /// Changes fewer than `BYTES` bytes.
    ///
    /// # Safety
    /// `len` bytes can be read at `from` and written at `to`, which do not overlap.
    #[inline(always)]
    unsafe fn short<C: Change>(from: *const u8, to: *mut u8, len: usize, imm: u8) {
        // SAFETY: by the contract; words need no instruction set.
        unsafe { vectors::<u64, C>(from, to, len, imm, false) }
    }
}

/// What is done to each byte.
pub(super) trait Change {
    /// Whether bytes stay as they are.
    const NONE: bool = false;
    /// # Safety
    /// The vector's instruction set must be available.
    unsafe fn change<V: Vector>(bytes: V, imm: V) -> V;
    /// The same for one byte.
    fn byte(byte: u8, imm: u8) -> u8;
}

/// Nothing.
pub(super) struct Same;
/// Exclusive or.
pub(super) struct Xor;
/// Addition.
pub(super) struct Add;

impl Change for Same {
    const NONE: bool = true;
    #[inline(always)]
    unsafe fn change<V: Vector>(bytes: V, _: V) -> V {
        bytes
    }
    #[inline(always)]
    fn byte(byte: u8, _: u8) -> u8 {
        byte
    }
}

impl Change for Xor {
    #[inline(always)]
    unsafe fn change<V: Vector>(bytes: V, imm: V) -> V {
        // SAFETY: by the contract of the caller.
        unsafe { bytes.xor(imm) }
    }
    #[inline(always)]
    fn byte(byte: u8, imm: u8) -> u8 {
        byte ^ imm
    }
}

impl Change for Add {
    #[inline(always)]
    unsafe fn change<V: Vector>(bytes: V, imm: V) -> V {
        // SAFETY: by the contract of the caller.
        unsafe { bytes.add(imm) }
    }
    #[inline(always)]
    fn byte(byte: u8, imm: u8) -> u8 {
        byte.wrapping_add(imm)
    }
}

/// The loop over a piece.
///
/// # Safety
/// The vector's instruction set is available; `len` bytes can be read at `from` and written at
/// `to`, which do not overlap.
#[inline(always)]
pub(super) unsafe fn vectors<V: Vector, C: Change>(
    from: *const u8,
    to: *mut u8,
    len: usize,
    imm: u8,
    streaming: bool,
) {
    // SAFETY: every access below ends at `len` or before: loops test it, the last vector begins
    // at `len - BYTES`, which is not negative since shorter pieces went to `short`. `at` after the
    // first vector is where `to` is aligned, which `stream` asks for, and stays so by whole
    // vectors. Vectors that overlap write the same bytes, made from a source that nothing writes.
    unsafe {
        if len < V::BYTES {
            return V::short::<C>(from, to, len, imm);
        }
        let key = V::splat(imm);
        let made = |at: usize| C::change(V::load(from.add(at)), key);
        let mut at = 0;
        if len >= 8 * V::BYTES {
            made(0).store(to);
            at = V::BYTES - (to as usize & (V::BYTES - 1));
            while at + 4 * V::BYTES <= len {
                let four = [
                    made(at),
                    made(at + V::BYTES),
                    made(at + 2 * V::BYTES),
                    made(at + 3 * V::BYTES),
                ];
                for (place, vector) in four.into_iter().enumerate() {
                    let to = to.add(at + place * V::BYTES);
                    if streaming { vector.stream(to) } else { vector.store(to) }
                }
                at += 4 * V::BYTES;
            }
        }
        while at + V::BYTES <= len {
            made(at).store(to.add(at));
            at += V::BYTES;
        }
        if at < len {
            made(len - V::BYTES).store(to.add(len - V::BYTES));
        }
    }
}

/// Writes `from`, transformed, into `into`.
///
/// # Safety
/// The backend's instruction set must be available.
#[inline(always)]
pub(super) unsafe fn put<B: Backend>(
    transform: Transform,
    from: &[u8],
    into: &mut [u8],
    streaming: bool,
) {
    let streaming = streaming && into.len() >= STREAMED;
    // SAFETY: by the contract of the caller.
    unsafe {
        match transform {
            Transform::Identity => B::put::<Same>(from, into, 0, streaming),
            Transform::Xor(imm) => B::put::<Xor>(from, into, imm, streaming),
            Transform::Add(imm) => B::put::<Add>(from, into, imm, streaming),
        }
    }
}

/// The loop over a window; see [`crate::rebuild::window`].
///
/// # Safety
/// The backend's instruction set must be available.
#[inline(always)]
pub(super) unsafe fn window<B: Backend>(
    space: &Space<'_>,
    pieces: &[Piece],
    raw: &[u8],
    out: &mut [u8],
    streaming: bool,
) -> Result<(), RebuildError> {
    let (mut made, mut taken) = (0_usize, 0_usize);
    let mut ahead = Ahead { pieces: pieces.iter(), bytes: 0 };
    for piece in pieces {
        ahead.run::<B>(space, made as u64);
        let (from, transform) = match piece {
            Piece::Ref(at) => {
                let outside = RebuildError::Outside { offset: at.offset, len: at.len };
                (space.get(at.offset, at.len).ok_or(outside)?, at.transform)
            }
            Piece::Raw(len) => {
                let to = taken + *len as usize;
                let few = RebuildError::Raw { taken: to as u64, have: raw.len() };
                let from = raw.get(taken..to).ok_or(few)?;
                taken = to;
                (from, Transform::Identity)
            }
        };
        let to = made + from.len();
        let want = out.len();
        let into = out.get_mut(made..to).ok_or(RebuildError::Length { made: to as u64, want })?;
        made = to;
        // SAFETY: by the contract of the caller.
        unsafe { put::<B>(transform, from, into, streaming) };
    }
    if streaming {
        B::fence();
    }
    if made != out.len() {
        return Err(RebuildError::Length { made: made as u64, want: out.len() });
    }
    if taken != raw.len() {
        return Err(RebuildError::Raw { taken: taken as u64, have: raw.len() });
    }
    Ok(())
}

/// Fetches what pieces that come will read.
struct Ahead<'a> {
    pieces: std::slice::Iter<'a, Piece>,
    /// Bytes of the file that the pieces seen so far make.
    bytes: u64,
}

impl Ahead<'_> {
    #[inline(always)]
    fn run<B: Backend>(&mut self, space: &Space<'_>, made: u64) {
        while self.bytes < made + AHEAD {
            let Some(piece) = self.pieces.next() else { return };
            self.bytes += u64::from(piece.len());
            if let Piece::Ref(at) = piece
                && let Some(from) = space.get(at.offset, at.len)
            {
                let lines = from.len().min(FETCHED);
                (0..lines).step_by(LINE).for_each(|line| B::fetch(from[line..].as_ptr()));
            }
        }
    }
}

/// Words as vectors: for what is shorter than a register.
macro_rules! word {
    ($word:ty, $shorter:item) => {
        impl Vector for $word {
            const BYTES: usize = size_of::<$word>();
            #[inline(always)]
            unsafe fn splat(byte: u8) -> Self {
                Self::from_ne_bytes([byte; size_of::<$word>()])
            }
            #[inline(always)]
            unsafe fn load(from: *const u8) -> Self {
                // SAFETY: as many bytes can be read, by the contract.
                unsafe { from.cast::<Self>().read_unaligned() }
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut u8) {
                // SAFETY: as many bytes can be written, by the contract.
                unsafe { to.cast::<Self>().write_unaligned(self) }
            }
            #[inline(always)]
            unsafe fn stream(self, to: *mut u8) {
                // SAFETY: as above.
                unsafe { self.store(to) }
            }
            #[inline(always)]
            unsafe fn xor(self, other: Self) -> Self {
                self ^ other
            }
            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                // Carries stop at the top bit of each byte, which is put in by itself.
                let top = Self::from_ne_bytes([0x80; size_of::<$word>()]);
                ((self & !top) + (other & !top)) ^ ((self ^ other) & top)
            }
            #[inline(always)]
            $shorter
        }
    };
}

word!(
    u64,
    unsafe fn short<C: Change>(from: *const u8, to: *mut u8, len: usize, imm: u8) {
        // SAFETY: by the contract of the caller.
        unsafe { vectors::<u32, C>(from, to, len, imm, false) }
    }
);
word!(
    u32,
    unsafe fn short<C: Change>(from: *const u8, to: *mut u8, len: usize, imm: u8) {
        for at in 0..len {
            // SAFETY: `at` is below `len`, by the contract of the caller.
            unsafe { to.add(at).write(C::byte(from.add(at).read(), imm)) };
        }
    }
);
