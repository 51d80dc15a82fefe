//! What the kernels run over: lists of spans.

use pfs_dataplane::pcpu::{AHEAD, BATCH, SpanBatch};

use crate::memory::Buffer;

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

    /// `count` spans of 64–319 bytes, or as many as `within` bytes have room for, at 64-byte borders all over them: the generator of
    /// PacketFS's shared-memory ring bench. A span that overlaps an earlier one is left out.
    pub(super) fn scattered(group: &'static str, count: usize, within: u64) -> Self {
        // They take less than half of the lines: there is room for the last as well.
        let count = count.min(within as usize / 512);
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

    /// Whether every byte of them is `map` of what `buffer` was filled with.
    pub(super) fn are_mapped(&self, buffer: &Buffer, map: impl Fn(u8) -> u8) -> bool {
        self.list.iter().all(|&(from, len)| buffer.is_mapped(u64::from(from), len, &map))
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
