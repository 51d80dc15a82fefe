//! What travels through the rings: numbered items, so that each row checks its order.

use bytemuck::{Pod, Zeroable};
use pfs_rings::Desc;

/// An item that carries its number twice.
pub trait Item: Pod + Default + Send {
    /// Item `number`.
    fn numbered(number: u64) -> Self;
    /// Zero exactly when this is item `number`.
    fn difference(&self, number: u64) -> u64;
}

/// 16 bytes, as the peers' own benchmarks have them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Small {
    number: u64,
    inverse: u64,
}

impl Item for Small {
    #[inline(always)]
    fn numbered(number: u64) -> Self {
        Self { number, inverse: !number }
    }

    #[inline(always)]
    fn difference(&self, number: u64) -> u64 {
        (self.number ^ number) | (self.inverse ^ !number)
    }
}

impl Item for Desc {
    #[inline(always)]
    fn numbered(number: u64) -> Self {
        let inverse = !number;
        let (frame, stamp) = (inverse as u32, (inverse >> 32) as u32);
        Self { offset: number, frame, stamp, ..Self::default() }
    }

    #[inline(always)]
    fn difference(&self, number: u64) -> u64 {
        let inverse = u64::from(self.frame) | u64::from(self.stamp) << 32;
        (self.offset ^ number) | (inverse ^ !number)
    }
}

/// Writes items `next..`.
#[inline(always)]
pub fn fill<T: Item>(items: &mut [T], next: u64) {
    for (step, item) in (0u64..).zip(items) {
        *item = T::numbered(next + step);
    }
}

/// Whether `items` are the items `next..`, all of them.
#[inline(always)]
#[must_use]
pub fn check<T: Item>(items: &[T], next: u64) -> bool {
    (0u64..).zip(items).fold(0, |wrong, (step, item)| wrong | item.difference(next + step)) == 0
}
