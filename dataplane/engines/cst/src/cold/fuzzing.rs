//! What fuzz targets need of the format's inside.

use std::sync::Arc;

use super::codec::{Positions, decoder};
use super::error::ColdError;
use super::file::ColdFile;
use super::reading::Meanings;
use super::record::{ColdTree, Freezer, Settings, mend_record};
use crate::flat::Flat;
use crate::languages::{Grammar, Registry};

/// Sets the checksums of index, directories and blocks to what their bytes need, as far as these
/// can be found; whether the index was.
pub(crate) fn mend(bytes: &mut [u8]) -> bool {
    if super::file::mend_index(bytes).is_none() {
        return false;
    }
    let find = |name: &str| Registry::shared().get(name);
    if let Ok(file) = ColdFile::from_bytes(bytes.to_vec(), find) {
        for record in file.records() {
            mend_record(&mut bytes[record]);
        }
    }
    true
}

/// A tree frozen and thawed, positions stored and guessed.
///
/// # Errors
/// When it does not come back.
pub(crate) fn again(
    grammar: &Arc<Grammar>,
    flat: &Flat,
    source: &[u8],
) -> Result<Vec<Flat>, ColdError> {
    let thaw = |positions| {
        let settings = Settings { block_nodes: 256, level: 1, positions };
        let record = Freezer::new(grammar, settings)?.freeze(flat, source)?.record;
        let classes = [false, true].map(|class| grammar.symbols().symbols(class));
        let meanings = Meanings::new(grammar, classes);
        let positions = (positions, &decoder(grammar, positions)?.dictionary);
        ColdTree::open("", (grammar, &meanings), &record, positions, Some(source))?.thaw()
    };
    Positions::ALL.into_iter().map(thaw).collect()
}
