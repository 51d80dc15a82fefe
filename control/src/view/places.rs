//! Where control sockets are: one folder a user, one file a run, `PID-NAME.sock`.

use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

/// Names the folder, for tests and for hosts without `/run`.
const FOLDER_VARIABLE: &str = "PFS_RUNTIME_DIR";
/// Longest name in a socket's file name: a socket's whole path has 107 bytes.
const NAME_BYTES: usize = 32;
const ENDING: &str = ".sock";

/// The folder of this user's control sockets: `$PFS_RUNTIME_DIR`, else `/run/pfs` for root, else
/// `$XDG_RUNTIME_DIR/pfs`, else `/tmp/pfs-UID`.
pub(crate) fn folder() -> PathBuf {
    let absolute = |variable: &str| {
        let path = std::env::var_os(variable).map(PathBuf::from);
        path.filter(|path| path.is_absolute())
    };
    if let Some(own) = absolute(FOLDER_VARIABLE) {
        return own;
    }
    let uid = Uid::effective();
    if uid.is_root() {
        return "/run/pfs".into();
    }
    match absolute("XDG_RUNTIME_DIR") {
        Some(runtime) => runtime.join("pfs"),
        None => format!("/tmp/pfs-{uid}").into(),
    }
}

/// The folder, made if need be, and nobody else's.
///
/// # Errors
/// When it cannot be made, or others could put files into it: a folder in `/tmp` may have been
/// made by anybody.
fn own_folder() -> io::Result<PathBuf> {
    let folder = folder();
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(io::Error::new(
                error.kind(),
                format!("making {}: {error}", folder.display()),
            ));
        }
        _ => {}
    }
    check(&folder)?;
    Ok(folder)
}

fn check(folder: &Path) -> io::Result<()> {
    let meta = fs::symlink_metadata(folder)?;
    let uid = Uid::effective().as_raw();
    if meta.is_dir() && meta.uid() == uid && meta.permissions().mode() & 0o022 == 0 {
        return Ok(());
    }
    let what = format!(
        "{} is not a folder of this user's that only this user can write to; remove it, or name another in {FOLDER_VARIABLE}",
        folder.display()
    );
    Err(io::Error::new(ErrorKind::PermissionDenied, what))
}

/// A name as file names may have it: letters, digits, `.`, `_` and `-`, not too many.
fn plain(name: &str) -> String {
    let kept = |letter: char| {
        if letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-') {
            letter
        } else {
            '_'
        }
    };
    name.chars().map(kept).take(NAME_BYTES).collect()
}

/// A run's control socket; its file goes with it.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    pub(crate) listener: UnixListener,
    pub(crate) file: SocketFile,
}

/// Removed when dropped.
#[derive(Debug)]
pub(crate) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Gone already, or nothing more can be done: the next user of the folder tries again.
        let _ = fs::remove_file(&self.0);
    }
}

impl ControlSocket {
    /// Listens for viewers of the run `name` of this process, mode 0600, and removes the sockets
    /// that dead runs have left.
    ///
    /// # Errors
    /// The kernel's answer, with the path.
    pub(crate) fn bind(name: &str) -> io::Result<Self> {
        let folder = own_folder()?;
        sweep(&folder);
        let pid = std::process::id();
        // Under its name only once it listens: a socket that refuses is taken for a dead run's.
        let new = folder.join(format!(".{pid}.new"));
        let path = folder.join(format!("{pid}-{}{ENDING}", plain(name)));
        let told = |error: io::Error| {
            io::Error::new(error.kind(), format!("listening at {}: {error}", path.display()))
        };
        let _ = fs::remove_file(&new);
        let listener = UnixListener::bind(&new).map_err(told)?;
        let mut file = SocketFile(new);
        fs::set_permissions(&file.0, fs::Permissions::from_mode(0o600)).map_err(told)?;
        fs::rename(&file.0, &path).map_err(told)?;
        file.0.clone_from(&path);
        listener.set_nonblocking(true).map_err(told)?;
        Ok(Self { listener, file })
    }
}

/// A run that listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) pid: u32,
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

impl Place {
    /// What a socket's file name says; `None` for other files.
    fn of(path: PathBuf) -> Option<Self> {
        let name = path.file_name()?.to_str()?.strip_suffix(ENDING)?;
        let (pid, name) = name.split_once('-')?;
        Some(Self { pid: pid.parse().ok()?, name: name.to_owned(), path })
    }
}

/// The runs of this user that listen, oldest process first; the sockets of dead ones are removed.
pub(crate) fn runs() -> Vec<Place> {
    let folder = folder();
    if check(&folder).is_err() {
        return Vec::new();
    }
    sweep(&folder)
}

/// Removes what dead runs have left in `folder`; the living.
fn sweep(folder: &Path) -> Vec<Place> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut living = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        if !entry.file_type().is_ok_and(|kind| kind.is_socket()) {
            continue;
        }
        match Place::of(path.clone()) {
            Some(_) if is_dead(&path) => drop(SocketFile(path)),
            Some(place) => living.push(place),
            // One that a process was about to rename.
            None if is_unborn(&path) => drop(SocketFile(path)),
            None => {}
        }
    }
    living.sort_by_key(|place| place.pid);
    living
}

/// Whether nobody listens at `path` any more.
fn is_dead(path: &Path) -> bool {
    UnixStream::connect(path).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

/// Whether `path` is a socket that was never given its name, by a process that is gone.
fn is_unborn(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let pid = name.strip_prefix('.').and_then(|name| name.strip_suffix(".new"));
    pid.and_then(|pid| pid.parse::<u32>().ok())
        .is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_fit_for_files() {
        assert_eq!(plain("edge.v2-a"), "edge.v2-a");
        assert_eq!(plain("../../etc/päss\n"), ".._.._etc_p_ss_");
        assert_eq!(plain(&"x".repeat(400)).len(), NAME_BYTES);
    }

    #[test]
    fn file_names_are_read_back() {
        let place = |name: &str| Place::of(Path::new("/f").join(name)).map(|at| (at.pid, at.name));
        assert_eq!(place("12-a-b.sock"), Some((12, "a-b".into())));
        for other in ["12.sock", "x-a.sock", "12-a.socket", ".12.new", "-a.sock"] {
            assert_eq!(place(other), None, "{other}");
        }
    }

    #[test]
    fn dead_sockets_go_and_living_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let living = folder.path().join("7-here.sock");
        let _listener = UnixListener::bind(&living).expect("listens");
        drop(UnixListener::bind(folder.path().join("8-gone.sock")).expect("listens"));
        drop(UnixListener::bind(folder.path().join(".4194304.new")).expect("listens"));
        fs::write(folder.path().join("9-file.sock"), "not a socket").expect("writes");
        let found = sweep(folder.path());
        assert_eq!(found, [Place { pid: 7, name: "here".into(), path: living }]);
        let mut left: Vec<_> = fs::read_dir(folder.path())
            .expect("lists")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["7-here.sock", "9-file.sock"]);
    }
}
