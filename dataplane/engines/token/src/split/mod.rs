//! Provisional: cuts before each blank that follows a letter. Replaced by the split grammars.

use crate::vocab::Grammar;

/// How far the unfinished piece has been looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SplitState {
    scanned: u32,
    forgotten: bool,
}

impl SplitState {
    /// Bytes that no end can fall into any more.
    #[must_use]
    pub fn settled(&self) -> usize {
        self.scanned as usize
    }

    /// The caller lets go of the first `bytes` bytes.
    pub fn forget(&mut self, bytes: usize) {
        self.scanned -= bytes as u32;
        self.forgotten |= bytes != 0;
    }
}

/// Cuts text by one grammar.
#[derive(Clone, Copy, Debug)]
pub struct Splitter {
    grammar: Grammar,
}

impl Splitter {
    /// A splitter for `grammar`.
    #[must_use]
    pub fn new(grammar: Grammar) -> Self {
        Self { grammar }
    }

    /// As the contract says.
    pub fn resume(
        &self,
        state: &mut SplitState,
        text: &[u8],
        more: bool,
        ends: &mut Vec<u32>,
    ) -> usize {
        let mut start = 0;
        let forgotten = std::mem::take(&mut state.forgotten);
        for at in (state.scanned as usize)..text.len() {
            let before = if at == 0 { forgotten } else { text[at - 1].is_ascii_alphanumeric() };
            let cut = self.grammar != Grammar::Whole
                && before
                && !text[at].is_ascii_alphanumeric();
            if cut {
                ends.push(at as u32);
                start = at;
            }
        }
        if !more {
            if !text.is_empty() || forgotten {
                ends.push(text.len() as u32);
            }
            *state = Self::default_state();
            return text.len();
        }
        *state = SplitState { scanned: (text.len() - start) as u32, forgotten: forgotten && start == 0 };
        start
    }

    fn default_state() -> SplitState {
        SplitState::default()
    }
}
