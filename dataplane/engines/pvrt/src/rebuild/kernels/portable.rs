//! Loops that the compiler makes the best of.

use super::backend::{Backend, Change};

/// The backend of every processor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Portable;

impl Backend for Portable {
    #[inline(always)]
    unsafe fn put<C: Change>(from: &[u8], into: &mut [u8], imm: u8, _: bool) {
        if C::NONE {
            into.copy_from_slice(from);
        } else {
            into.iter_mut().zip(from).for_each(|(to, from)| *to = C::byte(*from, imm));
        }
    }

    #[inline(always)]
    fn fetch(_: *const u8) {}

    #[inline(always)]
    fn fence() {}
}
