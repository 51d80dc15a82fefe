//! Which run to watch.

use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::failure::Failure;
use crate::view::places::{self, Place};

/// The run that `given` names: a process id, a name, or a socket's path.
///
/// # Errors
/// When there is none, or its socket is a dead run's.
pub(super) fn named(given: &str) -> Result<Place, Failure> {
    let path = Path::new(given);
    if given.contains('/') {
        return by_path(path);
    }
    let runs = places::runs();
    let mut fitting: Vec<&Place> = match given.parse::<u32>() {
        Ok(pid) => runs.iter().filter(|place| place.pid == pid).collect(),
        Err(_) => runs.iter().filter(|place| place.name == given).collect(),
    };
    match (fitting.pop(), fitting.is_empty()) {
        (Some(place), true) => Ok(place.clone()),
        (Some(_), false) => Err(several(&runs)),
        (None, _) => Err(Failure::failed(format!(
            "no run {given} listens in {}{}",
            places::folder().display(),
            match runs.as_slice() {
                [] => "; nor any other".to_owned(),
                runs => format!("; there are: {}", list(runs)),
            }
        ))),
    }
}

fn by_path(path: &Path) -> Result<Place, Failure> {
    let told = path.display();
    if let Err(error) = UnixStream::connect(path) {
        return Err(Failure::failed(match error.kind() {
            ErrorKind::ConnectionRefused => format!(
                "{told} is the control socket of a run that is dead; the next pfs run removes it from {}",
                places::folder().display()
            ),
            ErrorKind::PermissionDenied => {
                format!("{told}: {error}; only the run's own user and root may look (sudo pfs top)")
            }
            _ => format!("{told}: {error}; `pfs top` lists the runs that go on"),
        }));
    }
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Place { pid: 0, name, path: path.to_owned() })
}

/// The only run; `None` where there are several.
///
/// # Errors
/// When there is none.
pub(super) fn only() -> Result<Option<Place>, Failure> {
    let mut runs = places::runs();
    match runs.len() {
        0 => Err(Failure::failed(format!(
            "no run of this user listens in {}; start one with pfs run (another user's: sudo pfs top)",
            places::folder().display()
        ))),
        1 => Ok(runs.pop()),
        _ => Ok(None),
    }
}

/// Several runs, and one has to be named.
pub(super) fn several(runs: &[Place]) -> Failure {
    Failure::usage(format!("there are several runs, name one by its process id: {}", list(runs)))
}

fn list(runs: &[Place]) -> String {
    let each = runs.iter().map(|place| format!("{} ({})", place.pid, place.name));
    each.collect::<Vec<_>>().join(", ")
}
