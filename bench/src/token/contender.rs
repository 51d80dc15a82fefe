//! Who is measured: our engine and its peers, each in a process of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::trial::Trial;

/// Joins a session of its own and asks for the scheduler's favour before it becomes the contender.
const ALONE: &str = "echo -19 2>/dev/null > /proc/self/autogroup; exec \"$@\"";

/// Where things are, seen from the benchmark's program.
#[derive(Clone, Debug)]
pub struct Places {
    /// This program, which also runs our engine.
    pub program: PathBuf,
    /// What `bench/token/install-peers` has installed.
    pub peers: PathBuf,
    /// What `bench/token/corpora.py` has assembled.
    pub corpora: PathBuf,
}

/// Whose program runs an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Maker {
    /// This one.
    Ours,
    /// The peers' from crates.io.
    Native,
    /// A Python environment of this name.
    Python(&'static str),
}

/// One engine with one vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Contender {
    /// Who runs it.
    pub maker: Maker,
    /// What its program calls it.
    pub engine: &'static str,
    /// Vocabulary, by name.
    pub vocabulary: &'static str,
    /// Name in tables.
    pub name: &'static str,
}

impl Places {
    /// The places beside the running program: `target/release/pfs-bench`, `target/bench-peers`,
    /// `target/bench-corpora`.
    ///
    /// # Errors
    /// When the program's own place is not known.
    pub fn find() -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|error| format!("this program: {error}"))?;
        let target = program.ancestors().nth(2).ok_or("this program is in no target folder")?;
        let (peers, corpora) = (target.join("bench-peers"), target.join("bench-corpora"));
        Ok(Self { peers, corpora, program })
    }

    /// The vocabulary's file: Crayon's `.dat` from its package, a `.tiktoken` file else.
    #[must_use]
    pub fn vocabulary(&self, name: &str) -> PathBuf {
        match name.split_once(':') {
            Some((version, profile)) => crayon_file(&self.peers.join(version), profile),
            None => self.peers.join(format!("{name}.tiktoken")),
        }
    }
}

/// The `.dat` of a profile below a virtual environment, whichever Python made that.
fn crayon_file(environment: &Path, profile: &str) -> PathBuf {
    let pythons = fs::read_dir(environment.join("lib")).into_iter().flatten().flatten();
    let files = pythons.map(|python| {
        let package = python.path().join("site-packages/crayon/resources/dat");
        package.join(format!("vocab_{profile}.dat"))
    });
    files.into_iter().find(|file| file.exists()).unwrap_or_else(|| environment.join(profile))
}

impl Contender {
    /// Whether its program is there.
    #[must_use]
    pub fn is_installed(&self, places: &Places) -> bool {
        self.program(places).exists()
    }

    fn program(&self, places: &Places) -> PathBuf {
        match self.maker {
            Maker::Ours => places.program.clone(),
            Maker::Native => places.peers.join("release/pfs-token-peers"),
            Maker::Python(environment) => places.peers.join(environment).join("bin/python"),
        }
    }

    /// Runs it over a sample in a process of its own, at most `passes` times.
    ///
    /// # Errors
    /// When the process cannot be started, fails, or does not print a trial.
    pub fn measure(&self, places: &Places, sample: &Path, passes: usize) -> Result<Trial, String> {
        let profile = self.vocabulary.rsplit(':').next().unwrap_or_default();
        let mut command = alone(&self.program(places));
        match self.maker {
            Maker::Ours => command.args(["token", "trial", self.engine, self.vocabulary]),
            Maker::Native => command.args([self.engine, profile]),
            Maker::Python(_) => {
                let script = concat!(env!("CARGO_MANIFEST_DIR"), "/token/peer.py");
                command.args([script, self.engine, profile])
            }
        };
        command.arg(places.vocabulary(self.vocabulary));
        if self.maker == Maker::Native {
            command.arg(places.peers.join(format!("{profile}.json")));
        }
        command.arg(sample).arg(passes.to_string());
        if self.name == "crayon-5.7.16" {
            // Larger texts start a second thread; each cut may split a token.
            command.env("CRAYON_PIECE", "15000");
        }
        command.env("RAYON_NUM_THREADS", "1").env("CARGO_TARGET_DIR", places.target());
        said(&mut command)
            .map_err(|error| format!("{} on {}: {error}", self.name, sample.display()))
    }
}

impl Places {
    fn target(&self) -> &Path {
        self.peers.parent().unwrap_or(&self.peers)
    }
}

/// A command for `program` in a session and a scheduling group of its own.
#[must_use]
pub fn alone(program: &Path) -> Command {
    let mut command = Command::new("setsid");
    command.args(["-w", "sh", "-c", ALONE, "_"]).arg(program);
    command
}

/// What a command prints, read as JSON.
///
/// # Errors
/// When it fails or prints something else: its last words.
pub fn said<T: serde::de::DeserializeOwned>(command: &mut Command) -> Result<T, String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    let words = String::from_utf8_lossy(&output.stderr);
    let last = words.trim().lines().last().unwrap_or_default();
    if !output.status.success() {
        return Err(format!("{}: {last}", output.status));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("{error}: {last}"))
}
