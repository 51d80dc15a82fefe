//! Sources to test on, and a stored tree compared with the live one, node by node.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test program uses a part")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pfs_cst::flat::{Flat, Flattener};
use pfs_cst::hot::HotTree;
use pfs_cst::languages::{Grammar, Registry};
use pfs_cst::parse::{Limits, Parser};

/// xorshift64.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }

    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

/// This project's sources, and with `PFS_CST_CORPUS` all below that folder.
pub fn sources() -> Vec<(PathBuf, Vec<u8>)> {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![crate_folder.join("src"), crate_folder.join("tests")];
    for other in ["../kv/src/servers", "../../../ebpf", "../../../bench", "../../../docs"] {
        folders.push(crate_folder.join(other));
    }
    folders.extend(std::env::var_os("PFS_CST_CORPUS").map(PathBuf::from));
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.map(Result::unwrap) {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            if kind.is_dir() && entry.file_name() != "target" {
                folders.push(path);
            } else if kind.is_file() {
                files.push(path);
            }
        }
    }
    files.sort();
    files.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

/// Sources that no grammar likes, or that are rare.
pub fn broken() -> Vec<(&'static str, Vec<u8>)> {
    let rust = include_bytes!("../../src/hot/node.rs").to_vec();
    let crlf = rust.iter().flat_map(|byte| match byte {
        b'\n' => b"\r\n".to_vec(),
        byte => vec![*byte],
    });
    let crlf = crlf.collect();
    let mut state = 7u64;
    let junk = (0..20_000).map(|_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    });
    let holes: Vec<u8> =
        rust.iter().enumerate().filter(|(at, _)| at % 17 != 0).map(|it| *it.1).collect();
    let mut invalid = rust.clone();
    invalid.iter_mut().skip(50).step_by(97).for_each(|byte| *byte = 0xe2);
    vec![
        ("empty", Vec::new()),
        ("blank", b" \n\t\n ".to_vec()),
        ("nul", b"\0\0fn\0 a() {}\0".to_vec()),
        ("bom", [b"\xef\xbb\xbf".as_slice(), &rust].concat()),
        ("crlf", crlf),
        ("junk", junk.collect()),
        ("cut", rust[..rust.len() / 2].to_vec()),
        ("holes", holes),
        ("invalid UTF-8", invalid),
        ("open", b"fn a( { let x = ; if ( ".repeat(300)),
        ("brackets", [b"[".repeat(3000), b"]".repeat(2000)].concat()),
        ("missing", b"int a(void) { return 1 }\nint b() { int c = (1; }\n".repeat(50)),
        (
            "preprocessor",
            b"#if A\n#define B(x) \\\n x\n#endif\nint a;\n#include <a.h>\n".repeat(20),
        ),
        ("python", b"def a():\n  if b:\n    c\n\n  # d\n\n\nx = '''\n  y'''\n".repeat(20)),
        ("html", b"<!doctype html><p>a<b>c<script>x < y</script><style>a{b:c}</style>".repeat(9)),
    ]
}

/// Parses and stores; the live tree and the stored one.
pub fn both(grammar: &Arc<Grammar>, source: &[u8]) -> (tree_sitter::Tree, HotTree) {
    let tree = Parser::new(grammar).unwrap().parse(source, None, Limits::default()).unwrap();
    let hot = HotTree::new(grammar, &tree, source).unwrap();
    (tree, hot)
}

/// A source's columns, with supertypes where they can be kept and the source has an odd number of bytes.
pub fn columns(grammar: &Arc<Grammar>, source: &[u8]) -> Flat {
    let tree = Parser::new(grammar).unwrap().parse(source, None, Limits::default()).unwrap();
    let mut flattener = match Flattener::with_supertypes(grammar) {
        Ok(with) if source.len() % 2 == 1 => with,
        _ => Flattener::new(grammar),
    };
    flattener.flatten(&tree, source).unwrap()
}

/// All languages of this build.
pub fn languages() -> Vec<Arc<Grammar>> {
    let registry = Registry::shared();
    registry.names().into_iter().map(|name| registry.get(name).unwrap()).collect()
}
