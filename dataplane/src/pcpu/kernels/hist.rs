//! The 256-bin histogram of byte values.

use crate::pcpu::batch::Seg;

use super::Ahead;

/// Tables that counts are spread over, so that equal neighbours do not wait for each other. Eight
/// are slower: they take a fifth of the first-level cache.
const TABLES: usize = 4;

/// Bytes after which the 32-bit tables are emptied into the bins; well below their range.
const FLUSH_BYTES: u64 = 1 << 30;

/// Counts of byte values.
#[derive(Clone, Debug)]
pub(in crate::pcpu) struct Hist {
    tables: [[u32; 256]; TABLES],
    pending: u64,
    bins: [u64; 256],
}

impl Hist {
    pub(in crate::pcpu) const fn new() -> Self {
        Self { tables: [[0; 256]; TABLES], pending: 0, bins: [0; 256] }
    }

    /// Counts the bytes of all spans.
    ///
    /// # Safety
    /// The spans must be readable.
    pub(in crate::pcpu) unsafe fn run(&mut self, segs: &[Seg], ahead: Ahead<'_>) {
        for (i, seg) in segs.iter().enumerate() {
            ahead.prefetch(i);
            // SAFETY: readable by the caller, and nobody writes during this call.
            let bytes = unsafe { std::slice::from_raw_parts(seg.ptr, seg.len as usize) };
            for chunk in bytes.chunks(FLUSH_BYTES as usize) {
                if self.pending + chunk.len() as u64 > FLUSH_BYTES {
                    self.flush();
                }
                self.pending += chunk.len() as u64;
                self.count(chunk);
            }
        }
    }

    #[inline]
    fn count(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            let word = u64::from_le_bytes(*word);
            for i in 0..8 {
                self.tables[i % TABLES][(word >> (8 * i)) as usize & 0xff] += 1;
            }
        }
        for &byte in rest {
            self.tables[0][usize::from(byte)] += 1;
        }
    }

    fn flush(&mut self) {
        self.bins = self.bins();
        self.tables = [[0; 256]; TABLES];
        self.pending = 0;
    }

    /// The counts so far.
    pub(in crate::pcpu) fn bins(&self) -> [u64; 256] {
        std::array::from_fn(|byte| {
            self.tables.iter().fold(self.bins[byte], |sum, table| sum + u64::from(table[byte]))
        })
    }
}
