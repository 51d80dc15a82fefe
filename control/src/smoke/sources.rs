//! This project's own sources as smoke sends them: in pieces, out of order, over several flows; the trees that
//! come of them are those of a live parse.

use std::fs;
use std::path::{Path, PathBuf};

use pfs_cst::digest;
use pfs_cst::flat::{Flat, Flattener};
use pfs_cst::languages::Registry;
use pfs_cst::parse::{Limits, Parser};
use pfs_cst::tiers::{Access, Config, Store};
use pfs_dataplane::ops::cst::Piece;
use pfs_dataplane::run::RuleResults;

use super::capture::Capture;
use super::text::{frame, save};
use super::work::Work;
use crate::failure::Failure;

/// Longest payload.
const LONGEST: usize = 1400;
/// Flows that the files are sent over, in turn.
const FLOWS: u32 = 3;
/// Pieces that are turned round among themselves, so that they come out of order.
const TURNED: usize = 5;

/// Files of this project, with the names that detection goes by.
const FILES: [(&str, &str); 9] = [
    ("smoke/sources.rs", include_str!("sources.rs")),
    ("smoke/leg.rs", include_str!("leg.rs")),
    ("cst/shape.rs", include_str!("../../../dataplane/engines/cst/src/hot/shape.rs")),
    ("cst/machine.rs", include_str!("../../../dataplane/engines/cst/src/query/machine.rs")),
    ("pcpu/program.rs", include_str!("../../../dataplane/src/pcpu/program.rs")),
    ("flows/tcp.rs", include_str!("../../../dataplane/src/ops/flows/tcp.rs")),
    ("ebpf/pfs_xdp.bpf.c", include_str!("../../../ebpf/src/bpf/pfs_xdp.bpf.c")),
    ("docs/plan.schema.json", include_str!("../../../docs/plan.schema.json")),
    ("empty.json", ""),
];

/// What must come out.
#[derive(Debug)]
pub(super) struct Sources {
    /// Name and columns of each file's tree.
    live: Vec<(&'static str, Flat)>,
    /// Files, nodes, digest.
    results: [u64; 3],
    /// Folder of the collection that a leg leaves.
    folder: PathBuf,
}

/// Parses the files and cuts them; leaves the frames as a capture in `out`, for legs that read one.
///
/// # Errors
/// When a file cannot be parsed, or the capture not written.
pub(super) fn load(out: &Path) -> Result<Capture, Failure> {
    // The folder's name is part of a program's text, where commas end it.
    let folder = std::env::temp_dir().join(format!("pfs-smoke-trees-{}", std::process::id()));
    let mut sources = Sources { live: Vec::new(), results: [0; 3], folder };
    let mut payloads: Vec<Vec<u8>> = Vec::new();
    for (number, (name, source)) in (0..).zip(FILES) {
        let (flat, digest) = parse(name, source.as_bytes())?;
        let [files, nodes, sum] = sources.results;
        sources.results = [files + 1, nodes + flat.len() as u64, sum.wrapping_add(digest)];
        sources.live.push((name, flat));
        let mut pieces = Piece::cut(number, name, source.as_bytes(), LONGEST);
        pieces.chunks_mut(TURNED).for_each(<[Vec<u8>]>::reverse);
        payloads.append(&mut pieces);
    }
    let flow = |payload: &[u8]| u32::from(payload[8]) % FLOWS;
    let frames: Vec<Vec<u8>> =
        payloads.iter().map(|payload| frame(flow(payload), payload)).collect();
    let path = out.join("sources.pcap");
    save(&path, &frames).map_err(Failure::failed)?;
    sources.clear()?;
    let work = Work::Sources(sources);
    Ok(Capture { name: "sources".into(), path, frames, payloads, work })
}

/// Columns and digest of a live parse.
fn parse(name: &str, source: &[u8]) -> Result<(Flat, u64), Failure> {
    let grammar = Registry::shared().detect(Path::new(name), source);
    let grammar = grammar.ok_or_else(|| Failure::failed(format!("no grammar for {name}")))?;
    let mut parser = Parser::new(&grammar).map_err(Failure::failed)?;
    let tree = parser.parse(source, None, Limits::default()).map_err(Failure::failed)?;
    let flat = Flattener::new(&grammar).flatten(&tree, source).map_err(Failure::failed)?;
    let digest = digest::tree(&grammar, &flat);
    Ok((flat, digest))
}

impl Sources {
    /// The program that they run through.
    pub(super) fn program(&self) -> String {
        format!("cst,mode=pieces,dir={}", self.folder.display())
    }

    fn clear(&self) -> Result<(), Failure> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Failure::failed(format!("removing {}: {error}", self.folder.display())))
            }
            _ => Ok(()),
        }
    }

    /// Holds what a leg found, and every tree that it left, against the live parses; removes the trees.
    ///
    /// # Errors
    /// What differs.
    pub(super) fn check(&self, results: &[RuleResults]) -> Result<(), String> {
        match results.first().map(|rule| &rule.results.r[..3]) {
            Some(found) if *found == self.results => {}
            found => {
                let expected = self.results;
                return Err(format!("files, nodes and digest are {found:?} and not {expected:?}"));
            }
        }
        let config = Config { access: Access::Read, ..Config::default() };
        let store = Store::open(&self.folder, config).map_err(|error| error.to_string())?;
        if store.len() != self.live.len() {
            return Err(format!("{} trees of {} files", store.len(), self.live.len()));
        }
        for (name, live) in &self.live {
            let stored = store.cold(name, |cold| cold.thaw()).map_err(|error| error.to_string())?;
            if stored.as_ref() != Some(live) {
                return Err(format!("the tree of {name} is not that of a live parse"));
            }
        }
        drop(store);
        self.clear().map_err(|failure| failure.to_string())
    }
}
