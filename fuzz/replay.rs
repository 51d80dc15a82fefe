// Replays committed fuzz corpora with the toolchain at hand; each crate's `tests/fuzz_corpus.rs`
// includes this file.

use std::fs;
use std::path::Path;

/// Runs `target` over each file of its corpus.
fn replay(name: &str, target: fn(&[u8])) {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let corpus = above.map(|folder| folder.join("fuzz/corpus")).find(|corpus| corpus.is_dir());
    let folder = corpus.expect("a folder above holds fuzz/corpus").join(name);
    let mut files = 0;
    for entry in fs::read_dir(&folder).expect("the corpus is committed") {
        target(&fs::read(entry.expect("readable folder").path()).expect("readable file"));
        files += 1;
    }
    assert!(files >= 5, "{files} files in {}", folder.display());
}
