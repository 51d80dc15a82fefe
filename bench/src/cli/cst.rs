//! `cst`: syntax trees in each form against tree-sitter's own.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::cst::corpus::{Half, sources};
use crate::cst::{Settings, run};
use pfs_cst::cold::train;
use pfs_cst::languages::Registry;

/// Parses source files, keeps each tree in each form, holds every node against the live tree, and
/// prints bytes, rates and latencies in one thread's processor time. Files come from packages whose
/// name's hash is odd; what is shipped was trained on the others.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder of packages, each a folder; cargo's sources by default.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Most Rust files; half as many of C.
    #[arg(long, default_value_t = 1720)]
    files: usize,
    /// Write the report as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Train instead: language, ends of file names with commas, bytes of a dictionary, file to write.
    #[arg(long, num_args = 4, value_names = ["LANGUAGE", "ENDS", "BYTES", "FILE"])]
    train: Option<Vec<String>>,
}

/// Where cargo keeps what it fetched: `registry/src` has a folder for the index.
fn cargo_sources() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))?;
    let entries = std::fs::read_dir(home.join("registry/src")).ok()?;
    entries.flatten().map(|entry| entry.path()).next()
}

fn train_to(folder: &std::path::Path, args: &[String], files: usize) -> Result<String, String> {
    let [language, ends, bytes, file] = args else { return Err("four values are needed".into()) };
    let grammar = Registry::shared().get(language).ok_or("this build has not that language")?;
    let ends: Vec<_> = ends.split(',').collect();
    let bytes: usize = bytes.parse().map_err(|_| "bytes must be a number")?;
    let sources = sources(folder, &ends, Half::Train, files);
    let trained = train(&grammar, &sources, bytes).map_err(|error| error.to_string())?;
    let image = trained.write();
    std::fs::write(file, &image).map_err(|error| format!("write {file}: {error}"))?;
    let symbols = trained.symbols().len();
    Ok(format!("{language}: {} files, {symbols} symbols, {} bytes", sources.len(), image.len()))
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        let args = self;
        let Some(folder) = args.folder.clone().or_else(cargo_sources) else {
            eprintln!("no sources of packages are here; name a folder with --folder");
            return ExitCode::FAILURE;
        };
        if let Some(train) = &args.train {
            return match train_to(&folder, train, args.files) {
                Ok(line) => {
                    println!("{line}");
                    ExitCode::SUCCESS
                }
                Err(error) => {
                    eprintln!("{error}");
                    ExitCode::FAILURE
                }
            };
        }
        let ends = |ends: &[&str]| ends.iter().map(|end| (*end).to_owned()).collect::<Vec<_>>();
        let languages = vec![
            ("rust".to_owned(), ends(&["rs"]), args.files),
            ("c".to_owned(), ends(&["c", "h"]), args.files.div_ceil(2)),
        ];
        run(&Settings { folder, languages }).finish(args.json.as_deref())
    }
}
