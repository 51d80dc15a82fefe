//! How records are found other than by their vectors: by id, association, word and time.
//!
//! Each index has a form in memory, which level 0 keeps up with every write, and one on disk, which
//! a segment has sorted and is searched where it lies.

pub(crate) mod hash;
pub(crate) mod sorted;
pub(crate) mod strings;
pub(crate) mod words;
