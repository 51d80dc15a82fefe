//! Inner nodes.

use super::head_of;
use crate::memory::prefetch;

/// Most children of a node.
pub(super) const FAN: usize = 64;

/// Children and the separators between them: child `i` has the keys from `separators[i - 1]` on and
/// below `separators[i]`.
#[derive(Debug)]
pub(super) struct Inner {
    /// Bytes that all keys of the node's range share.
    pub(super) skip: usize,
    /// Of each separator, the 8 bytes behind these.
    heads: [u64; FAN - 1],
    pub(super) children: [u32; FAN],
    pub(super) separators: Vec<Box<[u8]>>,
}

impl Inner {
    /// A node with one child.
    pub(super) fn new(skip: usize, child: u32) -> Self {
        let mut children = [0; FAN];
        children[0] = child;
        let separators = Vec::with_capacity(FAN - 1);
        Self { skip, heads: [0; FAN - 1], children, separators }
    }

    /// Fetches all of it but the separators ahead.
    #[inline(always)]
    pub(super) fn prefetch(&self) {
        let at = std::ptr::from_ref(self).cast::<u8>();
        for line in (0..size_of::<Self>()).step_by(64) {
            prefetch(at.wrapping_add(line));
        }
    }

    /// Bytes of memory, the allocator's own left out.
    pub(super) fn bytes(&self) -> u64 {
        let separators: usize = self.separators.iter().map(|one| one.len()).sum();
        (size_of::<Self>() + self.separators.capacity() * size_of::<Box<[u8]>>() + separators)
            as u64
    }

    /// Children less one.
    #[inline(always)]
    pub(super) fn count(&self) -> usize {
        self.separators.len()
    }

    /// The child that has `key`.
    #[inline(always)]
    pub(super) fn child(&self, key: &[u8]) -> usize {
        let head = head_of(key, self.skip);
        let heads = &self.heads[..self.count()];
        let first = heads.partition_point(|&other| other < head);
        if heads.get(first) != Some(&head) {
            return first;
        }
        let equal = heads[first..].partition_point(|&other| other == head);
        let tied = &self.separators[first..first + equal];
        first + tied.partition_point(|separator| &**separator <= key)
    }

    /// Puts `separator` and the child on its right in at `position`.
    pub(super) fn insert(&mut self, position: usize, separator: Box<[u8]>, right: u32) {
        let count = self.count();
        self.heads.copy_within(position..count, position + 1);
        self.children.copy_within(position + 1..=count, position + 2);
        self.heads[position] = head_of(&separator, self.skip);
        self.children[position + 1] = right;
        self.separators.insert(position, separator);
    }

    /// Takes the separator at `position` out, with the child on its right.
    pub(super) fn remove(&mut self, position: usize) -> Box<[u8]> {
        let count = self.count();
        self.heads.copy_within(position + 1..count, position);
        self.children.copy_within(position + 2..=count, position + 1);
        self.separators.remove(position)
    }

    /// Takes the heads anew for another number of shared bytes.
    pub(super) fn share(&mut self, skip: usize) {
        self.skip = skip;
        for (head, separator) in self.heads.iter_mut().zip(&self.separators) {
            *head = head_of(separator, skip);
        }
    }
}
