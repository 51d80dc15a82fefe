//! Whether two tokens stand side by side in the encoding of their bytes.

use super::merge::merge_any;
use super::{Bpe, NONE};

impl Bpe {
    /// Whether the encoding of the bytes of `left` and `right` is these two tokens.
    ///
    /// Undoes the merges that made them, the latest first, and asks at each stage whether the two
    /// tokens that then met would have merged before either was taken by its own side. Equal ranks
    /// merge from left to right: `left`'s own merge precedes, `right`'s follows.
    #[inline(always)]
    pub(super) fn valid(&self, left: u32, right: u32) -> bool {
        if !self.rising {
            return self.encodes_as(left, right);
        }
        let (mut left, mut right) = (left, right);
        let (mut left_taken, mut right_taken) = (NONE, NONE);
        loop {
            let joined = self.join(left, right);
            if joined < left_taken && joined <= right_taken {
                return false;
            }
            if left.max(right) < 256 {
                return true;
            }
            if left > right {
                left_taken = left;
                left = self.halves[left as usize][1];
            } else {
                right_taken = right;
                right = self.halves[right as usize][0];
            }
        }
    }

    /// As [`Bpe::valid`], by encoding.
    #[cold]
    fn encodes_as(&self, left: u32, right: u32) -> bool {
        let mut bytes = Vec::new();
        self.spell(left, &mut bytes);
        self.spell(right, &mut bytes);
        merge_any(self, &bytes) == [left, right]
    }

    /// Appends the bytes of `number`.
    pub(super) fn spell(&self, number: u32, out: &mut Vec<u8>) {
        let mut open = vec![number];
        while let Some(number) = open.pop() {
            match u8::try_from(number) {
                Ok(byte) => out.push(byte),
                Err(_) => {
                    let [left, right] = self.halves[number as usize];
                    open.extend([right, left]);
                }
            }
        }
    }
}
