//! All groups, one after the other, each in a process and a scheduling group of its own.
//!
//! A group that fails, hangs or is killed costs its own figures and no other's.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, setsid};

use crate::host::Environment;
use crate::interrupt;
use crate::report::{Report, Target, html};

/// Longest that a group may take.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// What to run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Only these groups; all when empty.
    pub only: Vec<String>,
    /// Longer trials and more of them.
    pub thorough: bool,
    /// Folder for the groups' JSON.
    pub out: PathBuf,
    /// Write all tables as Markdown to this file.
    pub markdown: Option<PathBuf>,
}

/// One group: a subcommand of this program.
#[derive(Clone, Copy, Debug)]
struct Group {
    name: &'static str,
    heading: &'static str,
    short: &'static [&'static str],
    thorough: &'static [&'static str],
}

const GROUPS: [Group; 11] = [
    Group {
        name: "ring",
        heading: "Rings",
        short: &["--rounds", "5", "--items", "2000000"],
        thorough: &["--rounds", "11"],
    },
    Group {
        name: "pcores",
        heading: "Workers on 1 to N cores",
        short: &[
            "--prog",
            "crc32c",
            "--prog",
            "fnv64",
            "--prog",
            "xor:255",
            "--rounds",
            "5",
            "--trial-ms",
            "50",
            "--retries",
            "1",
        ],
        thorough: &["--rounds", "9", "--burst", "8,64", "--span-len", "256,1400,4096"],
    },
    Group {
        name: "op",
        heading: "Payload operations",
        short: &["--trials", "3", "--trial-ms", "5"],
        thorough: &["--trials", "7"],
    },
    Group { name: "packet", heading: "Parse, match, classify", short: &[], thorough: &[] },
    Group {
        name: "pipeline",
        heading: "Memory to program",
        short: &["--rounds", "5"],
        thorough: &["--rounds", "15", "--packets", "5000000"],
    },
    Group {
        name: "op-token",
        heading: "Token ids in a worker",
        short: &["--rounds", "5", "--bytes", "100000000"],
        thorough: &["--rounds", "9", "--bytes", "200000000"],
    },
    Group {
        name: "op-pvrt",
        heading: "Files from frames in a worker",
        short: &["--rounds", "5", "--bytes", "134217728"],
        thorough: &["--rounds", "9"],
    },
    Group {
        name: "rx",
        heading: "Receivers on a veth pair",
        short: &["--preset", "short"],
        thorough: &["--preset", "standard", "--sizes", "64"],
    },
    Group {
        name: "overload",
        heading: "Overload",
        short: &["--rounds", "3", "--trial-ms", "500"],
        thorough: &["--rounds", "7", "--trial-ms", "2000"],
    },
    Group {
        name: "token",
        heading: "Tokenizer",
        short: &["--rounds", "3"],
        thorough: &["--rounds", "7"],
    },
    Group {
        name: "kv",
        heading: "Key/value store",
        short: &["--rounds", "3"],
        thorough: &["--rounds", "7"],
    },
];

/// Names of all groups, in the order in which they run.
#[must_use]
pub fn names() -> Vec<&'static str> {
    GROUPS.iter().map(|group| group.name).collect()
}

/// Runs the groups and prints what each has found; failure when one failed.
#[must_use]
pub fn run(settings: &Settings) -> ExitCode {
    if let Err(error) = fs::create_dir_all(&settings.out) {
        eprintln!("making {}: {error}", settings.out.display());
        return ExitCode::FAILURE;
    }
    interrupt::watch();
    let mut reports = Vec::new();
    let wanted = |name: &str| settings.only.is_empty() || settings.only.iter().any(|o| o == name);
    for group in GROUPS.iter().filter(|group| wanted(group.name)) {
        if interrupt::asked() {
            eprintln!("interrupted: {} and what comes after it were not measured", group.name);
            break;
        }
        eprintln!("running {} …", group.name);
        let report = group.measure(settings).unwrap_or_else(|error| {
            let mut report = Report::new(group.name);
            report.right = false;
            report.notes.push(format!("failed: {error}"));
            report
        });
        println!("\n## {}\n\n{}", group.heading, report.markdown());
        reports.push((group.heading, report));
    }
    let missed = missed(&reports);
    println!("{missed}");
    let pages: Vec<Report> = reports.iter().map(|(_, report)| report.clone()).collect();
    if let Err(error) = html::write(&pages, &settings.out.join("report.html")) {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    if interrupt::asked() {
        // A page with gaps would stand for the whole.
        return ExitCode::FAILURE;
    }
    let right = reports.iter().all(|(_, report)| report.right);
    if let Some(path) = &settings.markdown
        && let Err(error) = fs::write(path, markdown(&with_earlier(reports, &settings.out)))
    {
        eprintln!("writing {}: {error}", path.display());
        return ExitCode::FAILURE;
    }
    if right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// All groups in their order: those just measured, and of the others what an earlier run has left.
fn with_earlier(
    mut reports: Vec<(&'static str, Report)>,
    out: &Path,
) -> Vec<(&'static str, Report)> {
    let mut all = Vec::new();
    for group in &GROUPS {
        let now = reports.iter().position(|(heading, _)| *heading == group.heading);
        match now {
            Some(at) => all.push(reports.swap_remove(at)),
            None => all.extend(read(&group.json(out)).ok().map(|report| (group.heading, report))),
        }
    }
    all
}

/// The process of one group: leaves its parent's session, asks for the scheduler's favour, and
/// becomes this program again, with other arguments. Returns only with what went wrong.
#[must_use]
pub fn alone(arguments: &[OsString]) -> String {
    interrupt::hold();
    // Both may be refused, in containers for instance: the figures are then noisier, that is all.
    let _ = setsid();
    let _ = fs::write("/proc/self/autogroup", "-19");
    match std::env::current_exe() {
        Ok(me) => {
            let error = Command::new(&me).args(arguments).exec();
            format!("starting {}: {error}", me.display())
        }
        Err(error) => format!("finding this program: {error}"),
    }
}

impl Group {
    fn json(&self, out: &Path) -> PathBuf {
        out.join(format!("{}.json", self.name))
    }

    fn measure(&self, settings: &Settings) -> Result<Report, String> {
        let me = std::env::current_exe().map_err(|error| error.to_string())?;
        let json = self.json(&settings.out);
        // An earlier run's figures must not pass for this one's.
        let _ = fs::remove_file(&json);
        let log = fs::File::create(settings.out.join(format!("{}.log", self.name)))
            .map_err(|error| error.to_string())?;
        let mut command = Command::new(&me);
        command.args(["alone", self.name]);
        command.args(if settings.thorough { self.thorough } else { self.short });
        command.arg("--json").arg(&json);
        command.stdout(log.try_clone().map_err(|error| error.to_string())?);
        command.stderr(log).stdin(Stdio::null());
        let child = command.spawn().map_err(|error| format!("starting {}: {error}", self.name))?;
        let ended = wait(child)?;
        let mut report = read(&json).map_err(|error| format!("{error}; it {ended}"))?;
        if ended != "ended well" && !report.interrupted {
            report.notes.push(format!("the group {ended}"));
            report.right = false;
        }
        Ok(report)
    }
}

/// Waits for a group's end and says how it was. A signal to this process goes on to the group,
/// which then writes what it has.
fn wait(mut child: Child) -> Result<String, String> {
    let deadline = Instant::now() + LIMIT;
    // Its own session, if it got one: then its children go with it.
    let group = Pid::from_raw(child.id().cast_signed());
    let mut told = false;
    loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) if status.success() => return Ok("ended well".to_owned()),
            Some(status) => return Ok(format!("ended with {status}")),
            None if Instant::now() > deadline => {
                if killpg(group, Signal::SIGKILL).is_err() {
                    let _ = child.kill();
                }
                let _ = child.wait();
                return Ok(format!("was ended after {} s", LIMIT.as_secs()));
            }
            None if interrupt::asked() && !told => {
                told = true;
                let _ = kill(group, Signal::SIGINT);
            }
            None => thread::sleep(Duration::from_millis(50)),
        }
    }
}

fn read(path: &Path) -> Result<Report, String> {
    let text = fs::read(path).map_err(|error| format!("reading {}: {error}", path.display()))?;
    serde_json::from_slice(&text).map_err(|error| format!("reading {}: {error}", path.display()))
}

fn missed(reports: &[(&str, Report)]) -> String {
    let all: Vec<&Target> = reports.iter().flat_map(|(_, report)| &report.targets).collect();
    let missed: Vec<_> = all.iter().filter(|target| !target.reached()).collect();
    let mut text = format!("\n{} of {} targets reached.\n", all.len() - missed.len(), all.len());
    for Target { what, target, measured, ratio } in missed {
        let _ = writeln!(text, "- missed: {what}: {target}; measured {measured} ({ratio:.2})");
    }
    text
}

fn markdown(reports: &[(&str, Report)]) -> String {
    let mut text = include_str!("page.md").to_owned();
    if let Some((_, first)) = reports.first() {
        let environment = &first.environment;
        let below = if environment.virtual_machine { ", virtual machine" } else { "" };
        let _ = writeln!(
            text,
            "## Figures\n\nOn {} ({} cores{below}), Linux {}.",
            environment.processor, environment.cores, environment.kernel
        );
    }
    for (heading, report) in reports {
        let Environment { date, commit, load, .. } = &report.environment;
        let _ = write!(
            text,
            "\n### {heading}\n\nMeasured {date}, commit {commit}, load before: {load}.\n\n{}",
            report.markdown()
        );
    }
    text + &missed(reports)
}
