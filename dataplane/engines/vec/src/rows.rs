//! Vectors of one dimension, one after the other, each on a cache line of its own.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::mem::MaybeUninit;
use std::ptr::NonNull;

/// Bytes that rows begin at multiples of: a cache line, and a vector register.
const ALIGN: usize = 64;
/// From this size on, memory is aligned and asked for as huge pages.
const HUGE: usize = 2 << 20;

/// Components from one row's first to the next one's: `dim` rounded up to whole cache lines of
/// components of `bytes` bytes.
#[must_use]
pub const fn stride(dim: usize, bytes: usize) -> usize {
    (dim * bytes).next_multiple_of(ALIGN) / bytes
}

/// What rows are made of: plain numbers of which all-zero bytes are 0.
///
/// # Safety
/// All-zero bytes must be a valid value, and there must be no drop.
pub unsafe trait Component: Copy + Default {}
// SAFETY: zeros are 0.0; nothing is dropped.
unsafe impl Component for f32 {}
// SAFETY: zeros are 0; nothing is dropped.
unsafe impl Component for u16 {}
// SAFETY: zeros are 0; nothing is dropped.
unsafe impl Component for u32 {}
// SAFETY: zeros are 0; nothing is dropped.
unsafe impl Component for i8 {}
// SAFETY: zeros are 0; nothing is dropped.
unsafe impl Component for u8 {}

/// Rows of `dim` components, padded with zeros to whole cache lines.
///
/// Grows like a `Vec`. Beyond 2 MiB it asks for transparent huge pages.
#[derive(Debug)]
pub struct Rows<T: Component> {
    start: NonNull<T>,
    /// Rows that are there.
    len: usize,
    /// Rows that there is room for.
    room: usize,
    dim: usize,
    stride: usize,
}

// SAFETY: owns its memory like a `Vec` of plain numbers.
unsafe impl<T: Component + Send> Send for Rows<T> {}
// SAFETY: as above.
unsafe impl<T: Component + Sync> Sync for Rows<T> {}

impl<T: Component> Rows<T> {
    /// No rows yet, of `dim` components.
    ///
    /// # Panics
    /// When `dim` is 0.
    #[must_use]
    pub const fn new(dim: usize) -> Self {
        assert!(dim > 0, "rows have components");
        let stride = stride(dim, size_of::<T>());
        Self { start: NonNull::dangling(), len: 0, room: 0, dim, stride }
    }

    /// Rows that are there.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Components of a row, without padding.
    #[must_use]
    pub const fn dim(&self) -> usize {
        self.dim
    }

    /// Components from one row's first to the next one's.
    #[must_use]
    pub const fn stride(&self) -> usize {
        self.stride
    }

    /// All rows with their padding.
    #[must_use]
    pub const fn as_slice(&self) -> &[T] {
        // SAFETY: `len` rows of `stride` components are initialized; dangling only for none.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len * self.stride) }
    }

    /// Row `at` with its padding.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    #[inline]
    pub fn row(&self, at: usize) -> &[T] {
        &self.as_slice()[at * self.stride..(at + 1) * self.stride]
    }

    /// Row `at`, without padding, to be changed.
    ///
    /// # Panics
    /// When there is none.
    pub fn row_mut(&mut self, at: usize) -> &mut [T] {
        assert!(at < self.len, "row {at} of {}", self.len);
        // SAFETY: in bounds by the assertion; borrowed exclusively.
        unsafe {
            std::slice::from_raw_parts_mut(self.start.as_ptr().add(at * self.stride), self.dim)
        }
    }

    /// Adds a row.
    ///
    /// # Panics
    /// When it does not have `dim` components.
    pub fn push(&mut self, row: &[T]) {
        assert_eq!(row.len(), self.dim, "components of a row");
        if self.len == self.room {
            self.grow(self.len + 1);
        }
        let at = self.fresh();
        at[..row.len()].write_copy_of_slice(row);
        at[row.len()..].fill(MaybeUninit::new(T::default()));
        self.len += 1;
    }

    /// Adds a row of zeros.
    pub fn push_zeros(&mut self) {
        if self.len == self.room {
            self.grow(self.len + 1);
        }
        self.fresh().fill(MaybeUninit::new(T::default()));
        self.len += 1;
    }

    /// The place of the row after the last, for which there is room.
    fn fresh(&mut self) -> &mut [MaybeUninit<T>] {
        debug_assert!(self.len < self.room);
        // SAFETY: there is room for one more row than there are; nothing is read as initialized.
        unsafe {
            let at = self.start.as_ptr().add(self.len * self.stride);
            std::slice::from_raw_parts_mut(at.cast(), self.stride)
        }
    }

    /// All rows with their padding, to be changed; padding is to stay 0.
    pub(crate) const fn as_mut_slice(&mut self) -> &mut [T] {
        // SAFETY: as [`Self::as_slice`], borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len * self.stride) }
    }

    /// Adds rows of zeros until there are `len`.
    pub(crate) fn resize_zeroed(&mut self, len: usize) {
        self.reserve(len.saturating_sub(self.len));
        while self.len < len {
            self.push_zeros();
        }
    }

    /// Bytes of memory that they hold.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.room * self.stride * size_of::<T>()
    }

    /// Gives memory back that is not needed as long as nothing is added.
    pub fn shrink(&mut self) {
        if self.len < self.room && self.len > 0 {
            self.resize(self.len);
        }
    }

    /// Forgets rows from `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Makes room for `more` rows beyond those that are there.
    pub fn reserve(&mut self, more: usize) {
        if self.len + more > self.room {
            self.grow(self.len + more);
        }
    }

    fn grow(&mut self, least: usize) {
        self.resize(least.max(self.room * 3 / 2).max(16));
    }

    /// Moves to memory for `room` rows, at least as many as are there.
    fn resize(&mut self, room: usize) {
        let layout = Self::layout(room, self.stride);
        // SAFETY: the layout has a size, since `room` and `stride` are above 0.
        let fresh = unsafe { alloc(layout) };
        let Some(fresh) = NonNull::new(fresh) else { handle_alloc_error(layout) };
        if layout.align() == HUGE {
            // SAFETY: the range is this allocation; the advice changes no content.
            unsafe { libc::madvise(fresh.as_ptr().cast(), layout.size(), libc::MADV_HUGEPAGE) };
        }
        let fresh = fresh.cast::<T>();
        // SAFETY: the new memory has room for all old rows, and they do not overlap.
        unsafe { fresh.copy_from_nonoverlapping(self.start, self.len * self.stride) };
        self.free();
        (self.start, self.room) = (fresh, room);
    }

    fn layout(room: usize, stride: usize) -> Layout {
        let bytes = room.checked_mul(stride * size_of::<T>()).expect("fits memory");
        let align = if bytes >= HUGE { HUGE } else { ALIGN };
        Layout::from_size_align(bytes.next_multiple_of(align), align).expect("fits memory")
    }

    fn free(&mut self) {
        if self.room > 0 {
            let layout = Self::layout(self.room, self.stride);
            // SAFETY: allocated by `grow` with this very layout, and freed once.
            unsafe { dealloc(self.start.as_ptr().cast(), layout) };
            self.room = 0;
        }
    }
}

impl<T: Component> Drop for Rows<T> {
    fn drop(&mut self) {
        self.free();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_kept_and_padded_while_they_grow() {
        let mut rows = Rows::<f32>::new(17);
        assert_eq!((rows.stride(), rows.len()), (32, 0));
        for n in 0..40_000 {
            rows.push(&[n as f32; 17]);
        }
        for n in [0, 1, 16, 17, 39_999] {
            let row = rows.row(n);
            assert_eq!(row.as_ptr().addr() % 64, 0);
            assert!(row[..17].iter().all(|value| *value == n as f32));
            assert!(row[17..].iter().all(|value| *value == 0.0));
        }
        rows.row_mut(3)[16] = 7.0;
        assert_eq!(rows.row(3)[16..18], [7.0, 0.0]);
        rows.truncate(4);
        rows.push(&[1.0; 17]);
        assert_eq!((rows.len(), rows.row(4)[0], rows.row(3)[16]), (5, 1.0, 7.0));
    }

    #[test]
    #[should_panic(expected = "components of a row")]
    fn a_row_of_another_dimension_is_refused() {
        Rows::<i8>::new(3).push(&[1, 2]);
    }
}
