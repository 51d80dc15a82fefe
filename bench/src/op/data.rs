//! What the kernels run over: buffers whose content can be told from the position, and spans.

use std::io;
use std::ptr::NonNull;

use pfs_dataplane::pcpu::{AHEAD, BATCH, SpanBatch};

/// Anonymous memory on transparent huge pages where the kernel grants them, all written.
pub(super) struct Buffer {
    base: NonNull<u8>,
    len: usize,
}

impl Buffer {
    /// `len` bytes (a multiple of 8), filled.
    pub(super) fn new(len: usize) -> io::Result<Self> {
        let len = len.next_multiple_of(2 << 20);
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a fresh anonymous mapping; advice cannot harm it.
        let base = unsafe {
            let at = libc::mmap(std::ptr::null_mut(), len, prot, flags, -1, 0);
            if at == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            libc::madvise(at, len, libc::MADV_HUGEPAGE);
            NonNull::new(at.cast()).ok_or_else(io::Error::last_os_error)?
        };
        let mut buffer = Self { base, len };
        for (i, word) in buffer.bytes_mut().as_chunks_mut::<8>().0.iter_mut().enumerate() {
            *word = word_at(i);
        }
        Ok(buffer)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: mapped for as long as `self`; writers go through `&mut` or `ptr`.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.len) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, exclusive by `&mut`.
        unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr(), self.len) }
    }

    pub(super) fn ptr(&mut self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// Whether every byte of `spans` is `map` of what it was filled with.
    pub(super) fn is_mapped(&self, spans: &Spans, map: impl Fn(u8) -> u8) -> bool {
        spans.list.iter().all(|&(from, len)| {
            let now = &self.bytes()[from as usize..][..len as usize];
            now.iter()
                .zip(from..)
                .all(|(&byte, at)| byte == map(word_at(at as usize / 8)[at as usize % 8]))
        })
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` made; no borrow outlives `self`.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

/// The eight bytes that a buffer is filled with at word `i`: the finalizer of SplitMix64.
fn word_at(i: usize) -> [u8; 8] {
    let mut z = (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)).to_le_bytes()
}

/// A list of spans, cut into batches of 64.
pub(super) struct Spans {
    /// Where: the name of a row's group.
    pub(super) group: &'static str,
    /// Offset and length in bytes.
    pub(super) list: Vec<(u32, u32)>,
}

impl Spans {
    /// `count` spans of `len` bytes, one after another, each `stride` bytes after the last.
    pub(super) fn regular(group: &'static str, count: u32, len: u32, stride: u32) -> Self {
        Self { group, list: (0..count).map(|i| (i * stride, len)).collect() }
    }

    /// 64 spans at a stride of 2,048 bytes with the lengths of a simple IMIX payload mix.
    pub(super) fn mixed(group: &'static str) -> Self {
        let len = |i: u32| match (i * 7) % 12 {
            0..7 => 64,
            7..11 => 536,
            _ => 1400,
        };
        Self { group, list: (0..64).map(|i| (i * 2048, len(i))).collect() }
    }

    /// Spans of 64–319 bytes at 64-byte borders all over `within` bytes: the generator of
    /// PacketFS's shared-memory ring bench. A span that overlaps an earlier one is left out.
    pub(super) fn scattered(group: &'static str, count: usize, within: u64) -> Self {
        let mut list: Vec<(u32, u32)> = Vec::with_capacity(count);
        let mut taken = vec![false; (within / 64) as usize];
        let mut x = 0x1234_5678u64;
        while list.len() < count {
            x ^= x >> 12;
            x ^= x << 25;
            x ^= x >> 27;
            x = x.wrapping_mul(2_685_821_657_736_338_717);
            let (len, from) = ((x % 256 + 64) as u32, ((x % within) & !63) as u32);
            let lines = from as usize / 64..(from + len).div_ceil(64) as usize;
            if let Some(lines) = taken.get_mut(lines).filter(|lines| !lines.contains(&true)) {
                lines.fill(true);
                list.push((from, len));
            }
        }
        Self { group, list }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.list.iter().map(|&(_, len)| u64::from(len)).sum()
    }

    /// Builds each batch in turn in `batch`, with hints of the next, and gives it to `run`.
    #[inline(always)]
    pub(super) fn each_batch(
        &self,
        base: *mut u8,
        batch: &mut SpanBatch<'_>,
        mut run: impl FnMut(&mut SpanBatch<'_>),
    ) {
        let mut at = 0;
        while at < self.list.len() {
            let end = (at + BATCH).min(self.list.len());
            batch.clear();
            let span =
                |&(from, len): &(u32, u32)| (base.wrapping_add(from as usize), len, true, true);
            // SAFETY: inside the buffer at `base`, which is lent to this call alone; the spans
            // of a batch do not overlap by construction.
            unsafe { batch.extend(self.list[at..end].iter().map(span)) };
            for &(from, len) in self.list[end..].iter().take(AHEAD) {
                batch.hint(base.wrapping_add(from as usize), len);
            }
            run(batch);
            at = end;
        }
        batch.clear();
    }

    /// Gives each span to `run`, one at a time.
    #[inline(always)]
    pub(super) fn each_span(&self, base: *mut u8, mut run: impl FnMut(&mut [u8])) {
        for &(from, len) in &self.list {
            // SAFETY: inside the buffer, and the only slice into it at this time.
            run(unsafe { std::slice::from_raw_parts_mut(base.add(from as usize), len as usize) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_the_originals() {
        let spans = Spans::scattered("", 4, 1 << 30);
        let first =
            [(721_765_504, 240), (680_693_376, 252), (483_459_200, 240), (454_930_944, 123)];
        assert_eq!(spans.list, first);
    }
}
