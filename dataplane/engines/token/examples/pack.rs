//! Packs rank lists into `data/`: `cargo run -p pfs-token --example pack -- FILE.tiktoken...`
//!
//! Prints the BLAKE3 of each original, which the tests name.

use std::path::Path;

use pfs_token::formats::{packed, tiktoken};
use pfs_token::vocab::Grammar;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for path in std::env::args().skip(1) {
        let stem = Path::new(&path).file_stem().and_then(|s| s.to_str()).ok_or("no name")?;
        let list = std::fs::read(&path)?;
        let source = tiktoken::read(&list, stem, Grammar::Whole, vec![])?;
        let packed = packed::write(&source.tokens, 22)?;
        let out = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("data/{stem}.tokens.zst"));
        std::fs::write(&out, &packed)?;
        println!(
            "{stem} {} tokens, {} bytes, {}",
            source.tokens.len(),
            packed.len(),
            blake3::hash(&list)
        );
    }
    Ok(())
}
