//! Digests of files whose bytes come one after the other.

/// Bytes that are hashed at once: a power of two, as BLAKE3's tree is much quicker over whole subtrees
/// than over windows of other lengths.
const AT_ONCE: usize = 256 << 10;

/// BLAKE3 of files that come one after the other.
#[derive(Debug)]
pub(super) struct Digests {
    lengths: std::vec::IntoIter<u64>,
    left: u64,
    hasher: Option<blake3::Hasher>,
    /// Less than [`AT_ONCE`] of the file in hand, not hashed yet.
    waiting: Vec<u8>,
    done: Vec<[u8; 32]>,
}

impl Digests {
    pub(super) fn new(lengths: &[u64]) -> Self {
        let mut new = Self {
            lengths: Vec::from(lengths).into_iter(),
            left: 0,
            hasher: None,
            waiting: Vec::new(),
            done: Vec::new(),
        };
        new.next();
        new
    }

    fn next(&mut self) {
        while let Some(length) = self.lengths.next() {
            self.left = length;
            self.hasher = Some(blake3::Hasher::new());
            if length > 0 {
                return;
            }
            self.close();
        }
    }

    fn close(&mut self) {
        if let Some(mut hasher) = self.hasher.take() {
            hasher.update(&self.waiting);
            self.waiting.clear();
            self.done.push(*hasher.finalize().as_bytes());
        }
    }

    pub(super) const fn is_over(&self) -> bool {
        self.hasher.is_none()
    }

    pub(super) fn take(&mut self, mut bytes: &[u8]) {
        while let (Some(hasher), false) = (&mut self.hasher, bytes.is_empty()) {
            let left = usize::try_from(self.left).unwrap_or(usize::MAX);
            let room = AT_ONCE - self.waiting.len();
            let (part, rest) = bytes.split_at(bytes.len().min(left).min(room));
            self.waiting.extend_from_slice(part);
            if self.waiting.len() == AT_ONCE {
                hasher.update(&self.waiting);
                self.waiting.clear();
            }
            self.left -= part.len() as u64;
            bytes = rest;
            if self.left == 0 {
                self.close();
                self.next();
            }
        }
    }

    pub(super) fn end(self) -> Vec<[u8; 32]> {
        self.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_has_its_own() {
        let bytes: Vec<u8> =
            (0..1_000_000_u32).map(|at| (at.wrapping_mul(at) >> 5) as u8).collect();
        let lengths = [0, 3, 0, 4_000, 1, 262_144, 600_000, 133_852, 0];
        for step in [7, 4_096, 61_440, 1_000_000] {
            let mut digests = Digests::new(&lengths);
            bytes.chunks(step).for_each(|part| digests.take(part));
            assert!(digests.is_over());
            let (mut at, mut want) = (0, Vec::new());
            for length in lengths {
                want.push(*blake3::hash(&bytes[at..at + length as usize]).as_bytes());
                at += length as usize;
            }
            assert_eq!(digests.end(), want, "{step}");
        }
    }
}
