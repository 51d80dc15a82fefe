//! The word table in a v3 file.

use super::{Cell, Seed, WORD_BYTES, WordTable};
use crate::formats::FormatError;
use crate::formats::sections::{SectionReader, SectionWriter, Stored};

impl Stored for WordTable {
    fn write(&self, writer: &mut SectionWriter) {
        writer.put("wordseed", &[self.seed]);
        writer.put("wordpilt", &self.pilots);
        writer.put("words", &self.cells);
    }

    fn read(reader: &mut SectionReader) -> Result<Self, FormatError> {
        let seed = reader.get_one::<Seed>("wordseed")?;
        let pilots = reader.get::<u8>("wordpilt")?;
        let cells = reader.get::<Cell>("words")?;
        if !pilots.len().is_power_of_two() || cells.is_empty() || cells.len() >= 1 << 31 {
            let cause = format!("{} displacements for {} cells", pilots.len(), cells.len());
            return Err(FormatError::Section { tag: "words".into(), cause });
        }
        let mut table = Self { seed, pilots, cells, len: 0 };
        let view = table.view();
        let mut len = 0;
        for (at, cell) in view.cells.iter().enumerate().filter(|(_, cell)| **cell != Cell::FREE) {
            let wrong = |cause| FormatError::Cell { table: "words", cell: at, cause };
            if !(1..=WORD_BYTES).contains(&cell.key.len()) {
                return Err(wrong("its word has no length from 1 to 15"));
            }
            if view.slot(cell.key) as usize != at {
                return Err(wrong("its word belongs into another cell"));
            }
            len += 1;
        }
        table.len = len;
        Ok(table)
    }
}

impl WordTable {
    /// The words as (bytes, ids).
    pub(crate) fn words(&self) -> impl Iterator<Item = (Vec<u8>, Vec<u32>)> {
        self.cells.iter().filter(|cell| **cell != Cell::FREE).map(|cell| {
            let bytes: [u8; 16] = bytemuck::cast([cell.key.low.to_le(), cell.key.high.to_le()]);
            let ids = cell.ids()[..cell.count()].to_vec();
            (bytes[..cell.key.len()].to_vec(), ids)
        })
    }
}
