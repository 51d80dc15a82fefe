//! Byte strings one behind the other.

/// Byte strings in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Strings {
    ends: Vec<u64>,
    bytes: Vec<u8>,
}

impl Strings {
    pub(crate) fn push(&mut self, string: &[u8]) {
        self.bytes.extend_from_slice(string);
        self.ends.push(self.bytes.len() as u64);
    }

    pub(crate) fn get(&self, at: u32) -> &[u8] {
        let at = at as usize;
        let from = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.bytes[from as usize..self.ends[at] as usize]
    }

    /// Bytes of memory that they hold.
    pub(crate) fn memory(&self) -> usize {
        8 * self.ends.capacity() + self.bytes.capacity()
    }
}
