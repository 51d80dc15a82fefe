//! EAL, DPDK's environment: started once, at the first port.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int};
use std::sync::{Mutex, PoisonError};

use dpdk_sys as sys;

use super::error::DpdkError;
use super::spec::DpdkSpec;
use crate::pin;

/// Arguments by which other processes find an EAL, and with which it leaves files.
const SHARED: [&str; 4] = ["--file-prefix", "--proc-type", "--huge-dir", "--legacy-mem"];

/// How EAL's start ended; it cannot be tried twice.
enum State {
    /// With the arguments that were asked for.
    Runs(Option<String>),
    Failed(DpdkError),
    Ended,
}

static STATE: Mutex<Option<State>> = Mutex::new(None);
/// What DPDK has logged as a warning or worse since [`listen`].
static SAID: Mutex<String> = Mutex::new(String::new());
/// Most bytes of that which are kept.
const MOST_SAID: usize = 600;

/// Releases of DPDK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EalVersions {
    /// Whose headers this program was compiled with.
    pub compiled: String,
    /// Whose libraries were loaded.
    pub loaded: String,
}

/// The releases of headers and libraries.
#[must_use]
pub fn versions() -> EalVersions {
    // SAFETY: both are constant strings of the library and the shim, ended by 0.
    let text = |from: *const c_char| unsafe { CStr::from_ptr(from) }.to_string_lossy().into_owned();
    EalVersions {
        compiled: text(sys::pfs_compiled_version()),
        loaded: text(sys::pfs_eal_version()),
    }
}

/// Starts EAL for `spec`, or finds that it runs with what `spec` asks for.
///
/// # Errors
/// What EAL said, or that it runs with other arguments.
pub(super) fn start(spec: &DpdkSpec) -> Result<(), DpdkError> {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    match &*state {
        None => {}
        Some(State::Runs(with)) if spec.eal.is_none() || spec.eal == *with => return Ok(()),
        Some(State::Runs(with)) => {
            let with = with.as_deref().unwrap_or("none");
            return Err(DpdkError::new(
                format!(
                    "DPDK runs in this process with the EAL arguments {with:?} already; {} asks for {:?}",
                    spec.device,
                    spec.eal.as_deref().unwrap_or_default()
                ),
                "give all ports the same",
            ));
        }
        Some(State::Failed(error)) => return Err(error.clone()),
        Some(State::Ended) => {
            return Err(DpdkError::new("DPDK was ended in this process", "start a new one"));
        }
    }
    let started = init(spec);
    *state = Some(match &started {
        Ok(()) => State::Runs(spec.eal.clone()),
        Err(error) => State::Failed(error.clone()),
    });
    started
}

fn init(spec: &DpdkSpec) -> Result<(), DpdkError> {
    let versions = versions();
    if !same_release(&versions) {
        return Err(DpdkError::new(
            format!(
                "this program was built with {}, and {} was loaded",
                versions.compiled, versions.loaded
            ),
            "install that release, or build again: just build",
        ));
    }
    let words = arguments(spec)?;
    let mut args: Vec<*mut c_char> = words.iter().map(|word| word.as_ptr().cast_mut()).collect();
    args.push(std::ptr::null_mut());
    listen();
    // SAFETY: `args` are strings ended by 0 and then a null; EAL reorders the pointers, not the
    // strings, and copies what it keeps.
    let rc = unsafe { sys::pfs_eal_init(words.len() as c_int, args.as_mut_ptr(), on_log) };
    if rc == 0 {
        return Ok(());
    }
    let given: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let fix = if no_hugepages(&words) {
        "sysctl -w vm.nr_hugepages=128, or without huge pages: eal=--no-huge"
    } else {
        "read doc.dpdk.org on EAL parameters; run it as root"
    };
    let doing = format!("starting DPDK with the arguments {}", given[1..].join(" "));
    Err(DpdkError::call(&doing, rc, &said(), fix))
}

/// Whether `DPDK 22.11.11` goes with `DPDK 22.11`.
fn same_release(versions: &EalVersions) -> bool {
    versions
        .loaded
        .strip_prefix(versions.compiled.as_str())
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-', ' ']))
}

fn no_hugepages(words: &[CString]) -> bool {
    let free = std::fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    let none = free.map_or(true, |free| free.trim() == "0");
    none && !words.iter().any(|word| word.as_c_str() == c"--no-huge")
}

/// The arguments asked for, behind those that they leave open.
fn arguments(spec: &DpdkSpec) -> Result<Vec<CString>, DpdkError> {
    let asked: Vec<&str> = spec.eal.as_deref().unwrap_or_default().split_whitespace().collect();
    if let Some(word) = asked.iter().find(|word| ["-h", "--help", "-v", "--version"].contains(word))
    {
        return Err(DpdkError::new(format!("EAL's {word} ends the program"), "leave it out"));
    }
    let secondary = |at: usize| {
        let of_next = asked[at] == "--proc-type" && asked.get(at + 1) == Some(&"secondary");
        of_next || asked[at] == "--proc-type=secondary"
    };
    if (0..asked.len()).any(secondary) {
        return Err(DpdkError::new(
            "a port of pfs has its mbufs in memory of this process, and a secondary process of DPDK has ports of its primary's alone",
            "chain two processes by net_memif; with --file-prefix, other programs can be secondaries of this one",
        ));
    }
    let has = |names: &[&str]| asked.iter().any(|word| is_any(word, names));
    let mut words = vec!["pfs".to_owned(), "--no-telemetry".to_owned()];
    if !has(&["-l", "-c", "--lcores"]) {
        let cores = pin::allowed_cores().unwrap_or_default();
        words.extend(["-l".to_owned(), cores.first().copied().unwrap_or(0).to_string()]);
    }
    // Nothing of it is then left in a hugetlbfs, whatever ends the process.
    if !has(&["--in-memory"]) && !has(&SHARED) {
        // EAL refuses the first where it has no huge pages.
        let private = if has(&["--no-huge"]) { "--no-shconf" } else { "--in-memory" };
        words.push(private.to_owned());
    }
    if !has(&["-a", "--allow", "-b", "--block", "--no-pci"]) {
        match spec.is_pci() {
            true => words.extend(["-a".to_owned(), spec.device.clone()]),
            false => words.push("--no-pci".to_owned()),
        }
    }
    words.extend(asked.iter().map(|&word| word.to_owned()));
    let words = words.into_iter().map(CString::new).collect::<Result<_, _>>();
    words.map_err(|_| DpdkError::new("an EAL argument holds a NUL byte", ""))
}

/// Forgets what DPDK has said so far.
pub(super) fn listen() {
    SAID.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

/// What DPDK has said since [`listen`], in one line.
pub(super) fn said() -> String {
    let said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    said.trim_end_matches("; ").to_owned()
}

/// Level of DPDK's warnings; what is worse has a lower one.
const WARNING: u32 = 5;

extern "C" fn on_log(level: u32, text: *const c_char, len: usize) {
    // SAFETY: stdio hands over `len` bytes, readable during this call.
    let bytes = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), len) };
    let text = String::from_utf8_lossy(bytes);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match level {
            0..=4 => tracing::info!(target: "dpdk", "error: {line}"),
            WARNING => tracing::info!(target: "dpdk", "warning: {line}"),
            6..=7 => tracing::debug!(target: "dpdk", "{line}"),
            _ => tracing::trace!(target: "dpdk", "{line}"),
        }
        if level <= WARNING {
            let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
            if said.len() + line.len() < MOST_SAID {
                said.push_str(line);
                said.push_str("; ");
            }
        }
    }
}

/// Ends EAL, if it was started: what it made in file systems is removed. All ports must be closed.
///
/// An EAL that keeps to this process has made nothing there, and is left to the process's end: ending it frees
/// what its interrupt thread, which goes on, still reads.
pub fn cleanup() {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(State::Runs(asked)) = &*state {
        // Other processes may find it, and it has files.
        let mut words = asked.as_deref().unwrap_or_default().split_whitespace();
        if words.any(|word| is_any(word, &SHARED)) {
            // SAFETY: EAL runs, and nothing of it is used afterwards: `start` says so from now on.
            unsafe { sys::pfs_eal_cleanup() };
        }
        *state = Some(State::Ended);
    }
}

/// Whether `word` is one of EAL's options `names`, alone or with its value.
fn is_any(word: &str, names: &[&str]) -> bool {
    names.iter().any(|name| {
        let rest = word.strip_prefix(name);
        // A value may stand right behind a letter.
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('=') || !name.starts_with("--"))
    })
}

/// A thread's number with EAL, given back when the thread ends.
struct Registered(bool);

impl Drop for Registered {
    fn drop(&mut self) {
        let state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
        if self.0 && matches!(*state, Some(State::Runs(_))) {
            // SAFETY: EAL runs, and this thread was registered.
            unsafe { sys::pfs_thread_unregister() };
        }
    }
}

thread_local! {
    static REGISTERED: RefCell<Option<Registered>> = const { RefCell::new(None) };
}

/// Gives the calling thread a number with EAL, and so a cache of free mbufs. Without one it works
/// too, more slowly. EAL must run.
pub(crate) fn register_thread() {
    REGISTERED.with_borrow_mut(|registered| {
        registered.get_or_insert_with(|| {
            // SAFETY: EAL runs: the caller holds a port.
            Registered(unsafe { sys::pfs_thread_register() } == 0)
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(spec: &DpdkSpec) -> String {
        let words = arguments(spec).unwrap();
        words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_is_asked_for_replaces_defaults() {
        let spec = DpdkSpec::new("net_null0");
        let plain = words(&spec);
        assert!(plain.contains("--in-memory") && plain.contains("--no-pci"), "{plain}");
        let pci = words(&DpdkSpec::new("0000:01:00.0"));
        assert!(pci.contains("-a 0000:01:00.0") && !pci.contains("--no-pci"), "{pci}");
        let asked = "--file-prefix=x -l1 --allow=0000:02:00.0";
        let own = words(&DpdkSpec { eal: Some(asked.into()), ..spec.clone() });
        assert_eq!(own, format!("pfs --no-telemetry {asked}"));
        let second = DpdkSpec { eal: Some("--proc-type secondary".into()), ..spec.clone() };
        assert!(arguments(&second).unwrap_err().what.contains("secondary"));
        let help = DpdkSpec { eal: Some("--help".into()), ..spec };
        assert!(arguments(&help).unwrap_err().what.contains("--help"));
    }

    #[test]
    fn releases_are_compared_by_their_first_two_numbers() {
        let versions =
            |loaded: &str| EalVersions { compiled: "DPDK 22.11".into(), loaded: loaded.into() };
        assert!(same_release(&versions("DPDK 22.11.11")) && same_release(&versions("DPDK 22.11")));
        assert!(!same_release(&versions("DPDK 23.11.0")) && !same_release(&versions("DPDK 22.1")));
        assert!(!same_release(&versions("DPDK 22.110")));
    }
}
