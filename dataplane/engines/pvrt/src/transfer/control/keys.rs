//! Who may talk: a shared key, or keys of hosts that know each other.
//!
//! Host keys lie in a folder, `~/.config/pfs` by default: `identity` (the private key, mode 0600),
//! `known_hosts` (`HOST:PORT KEY` a line, written when a receiver's key is accepted) and
//! `authorized_keys` (`KEY [comment]` a line, the senders that a receiver lets in). Keys are
//! X25519, in base64.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::secure::HOSTS_PATTERN;
use crate::transfer::error::TransferError;

/// Fewest bytes of a shared key: a short one could be guessed from a recorded handshake.
pub const SHARED_LEAST: usize = 16;
/// Most bytes of a key file that are looked at.
const FILE_MOST: u64 = 1 << 20;

fn key_error(why: impl Into<String>, fix: impl Into<String>) -> TransferError {
    TransferError::Key { why: why.into(), fix: fix.into() }
}

/// A secret that both ends have.
#[derive(Clone)]
pub struct SharedKey([u8; 32]);

impl fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedKey")
    }
}

impl SharedKey {
    /// Derived from `secret`, blanks at its ends left out.
    ///
    /// # Errors
    /// When it has fewer than [`SHARED_LEAST`] bytes.
    pub fn new(secret: &[u8]) -> Result<Self, TransferError> {
        let secret = secret.trim_ascii();
        if secret.len() < SHARED_LEAST {
            return Err(key_error(
                format!("a shared key of {} bytes can be guessed", secret.len()),
                "make one of 32 random bytes: head -c 32 /dev/urandom | base64 > FILE",
            ));
        }
        Ok(Self(blake3::derive_key("pfs transfer shared key v1", secret)))
    }

    /// From a file that only its owner can read.
    ///
    /// # Errors
    /// When it cannot be read, others can read it, or it is too short.
    pub fn read(path: &Path) -> Result<Self, TransferError> {
        let doing = || format!("reading the key {}", path.display());
        let secret = read_private(path).map_err(|error| TransferError::io(doing(), error))?;
        match secret {
            Some(secret) => Self::new(&secret),
            None => Err(open_to_others(path)),
        }
    }

    pub(super) const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

fn open_to_others(path: &Path) -> TransferError {
    let path = path.display();
    key_error(format!("others can read the key {path}"), format!("chmod 600 {path}"))
}

/// A file's bytes; none when others than its owner can read it.
fn read_private(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = File::open(path)?;
    let about = file.metadata()?;
    if about.is_file() && about.mode() & 0o077 != 0 {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(FILE_MOST).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// A host's public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(pub [u8; 32]);

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl PublicKey {
    /// Reads what its `Display` writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        STANDARD.decode(text).ok()?.try_into().ok().map(Self)
    }
}

/// This host's own pair of keys.
#[derive(Clone)]
pub struct Identity {
    private: [u8; 32],
    public: PublicKey,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("public", &self.public).finish_non_exhaustive()
    }
}

impl Identity {
    /// The one in `folder`, made at its first use.
    ///
    /// # Errors
    /// When it can be neither read nor made, or others can read it.
    pub fn open(folder: &Path) -> Result<Self, TransferError> {
        let path = folder.join("identity");
        if !path.exists() {
            create(folder, &path)?;
        }
        let doing = || format!("reading this host's key {}", path.display());
        let text = read_private(&path).map_err(|error| TransferError::io(doing(), error))?;
        let text = text.ok_or_else(|| open_to_others(&path))?;
        let text = String::from_utf8_lossy(&text);
        let mut keys = text.split_whitespace().map(PublicKey::parse);
        match (keys.next().flatten(), keys.next().flatten()) {
            (Some(private), Some(public)) => Ok(Self { private: private.0, public }),
            _ => Err(key_error(
                format!("{} holds no pair of keys", path.display()),
                "remove it: a new one is made, which the other hosts have to be told",
            )),
        }
    }

    /// What others know this host by.
    #[must_use]
    pub const fn public(&self) -> PublicKey {
        self.public
    }

    pub(super) const fn private(&self) -> &[u8; 32] {
        &self.private
    }
}

/// Makes a pair of keys; it appears whole or not at all.
fn create(folder: &Path, path: &Path) -> Result<(), TransferError> {
    let doing = || format!("making this host's key {}", path.display());
    let failed = |error| TransferError::io(doing(), error);
    let pair = HOSTS_PATTERN
        .parse()
        .and_then(|pattern| snow::Builder::new(pattern).generate_keypair())
        .map_err(|error| failed(io::Error::other(error)))?;
    fs::create_dir_all(folder).map_err(failed)?;
    let part = folder.join(format!("identity.{}", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let text = format!("{}\n{}\n", STANDARD.encode(&pair.private), STANDARD.encode(&pair.public));
    let mut file = options.open(&part).map_err(failed)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    // A link and not a rename: two first uses at once must end with one and the same key.
    let linked = written.and_then(|()| match fs::hard_link(&part, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        done => done,
    });
    let removed = fs::remove_file(&part);
    linked.and(removed).map_err(failed)
}

/// What a sender does about a receiver whose key it does not know.
pub type Ask = dyn Fn(&PublicKey) -> bool + Send + Sync;

/// Which keys the other end may have.
pub enum Peers {
    /// Any of these: a receiver's senders.
    Of(Vec<PublicKey>),
    /// The one that a file has for a host; where it has none, `ask` decides and it is written.
    Known {
        /// The file.
        file: PathBuf,
        /// `HOST:PORT`.
        host: String,
        /// Asked about a new key.
        ask: Box<Ask>,
    },
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(keys) => f.debug_tuple("Of").field(keys).finish(),
            Self::Known { file, host, .. } => f
                .debug_struct("Known")
                .field("file", file)
                .field("host", host)
                .finish_non_exhaustive(),
        }
    }
}

impl Peers {
    /// Those of the file `authorized_keys` in `folder`, and `more`.
    ///
    /// # Errors
    /// When the file is there and cannot be read, or a line of it holds no key.
    pub fn authorized(folder: &Path, more: &[PublicKey]) -> Result<Self, TransferError> {
        let path = folder.join("authorized_keys");
        let mut keys = more.to_vec();
        for (number, line) in (1..).zip(lines(&path)?) {
            let Some(first) = line.split_whitespace().next() else { continue };
            if first.starts_with('#') {
                continue;
            }
            let bad = || {
                let why = format!("line {number} of {} begins with no key", path.display());
                key_error(why, "write `KEY comment`, as pfs send prints it, or remove the line")
            };
            keys.push(PublicKey::parse(first).ok_or_else(bad)?);
        }
        Ok(Self::Of(keys))
    }

    /// Lets `key` in, or says why not.
    pub(super) fn check(&self, key: PublicKey) -> Result<(), TransferError> {
        match self {
            Self::Of(keys) if keys.contains(&key) => Ok(()),
            Self::Of(_) => Err(key_error(
                format!("the sender's key {key} is not known here"),
                format!(
                    "add the line `{key}` to authorized_keys of the receiver, or use --key on both ends"
                ),
            )),
            Self::Known { file, host, ask } => check_known(file, host, ask, key),
        }
    }
}

fn lines(path: &Path) -> Result<Vec<String>, TransferError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.lines().map(ToOwned::to_owned).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(TransferError::io(format!("reading {}", path.display()), error)),
    }
}

fn check_known(file: &Path, host: &str, ask: &Ask, key: PublicKey) -> Result<(), TransferError> {
    let known = lines(file)?;
    let found = known.iter().find_map(|line| {
        let (name, key) = line.split_once(' ')?;
        (name == host).then(|| PublicKey::parse(key.trim()))
    });
    match found.flatten() {
        Some(known) if known == key => Ok(()),
        Some(_) => Err(key_error(
            format!(
                "the receiver {host} has another key than before, now {key}: it was set up anew, or somebody poses as it"
            ),
            format!("if it was set up anew, remove its line from {}", file.display()),
        )),
        None if ask(&key) => remember(file, host, key),
        None => Err(key_error(
            format!("the receiver {host} has the key {key}, which is not known here"),
            "compare it with what pfs recv prints there, then send with --accept-new, or use --key on both ends",
        )),
    }
}

fn remember(file: &Path, host: &str, key: PublicKey) -> Result<(), TransferError> {
    let doing = || format!("writing {}", file.display());
    let append = || {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(file)?;
        file.write_all(format!("{host} {key}\n").as_bytes())
    };
    append().map_err(|error| TransferError::io(doing(), error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_file_is_long_and_private() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        fs::write(&path, "short\n").expect("writes");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("sets");
        let error = SharedKey::read(&path).expect_err("others can read it").to_string();
        assert!(error.contains("chmod 600"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("sets");
        let error = SharedKey::read(&path).expect_err("too short").to_string();
        assert!(error.contains("5 bytes can be guessed"), "{error}");
        fs::write(&path, " 0123456789abcdef\n").expect("writes");
        let key = SharedKey::read(&path).expect("good");
        assert_eq!(key.0, SharedKey::new(b"0123456789abcdef").expect("good").0);
    }

    #[test]
    fn an_identity_stays_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = folder.path().join("a/b");
        let first = Identity::open(&home).expect("made");
        let again = Identity::open(&home).expect("read");
        assert_eq!((first.public, first.private), (again.public, again.private));
        assert_eq!(fs::read_dir(&home).expect("lists").count(), 1);
        fs::write(home.join("identity"), "nothing").expect("writes");
        assert!(Identity::open(&home).is_err());
    }

    #[test]
    fn hosts_are_remembered_and_impostors_noticed() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("x/known_hosts");
        let peers = |answer| Peers::Known {
            file: file.clone(),
            host: "there:7".into(),
            ask: Box::new(move |_| answer),
        };
        let (one, other) = (PublicKey([1; 32]), PublicKey([2; 32]));
        assert!(peers(false).check(one).is_err());
        peers(true).check(one).expect("accepted");
        peers(false).check(one).expect("known");
        let error = peers(true).check(other).expect_err("another").to_string();
        assert!(error.contains("another key than before"), "{error}");
    }

    #[test]
    fn senders_are_those_of_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, two, three) = (PublicKey([1; 32]), PublicKey([2; 32]), PublicKey([3; 32]));
        fs::write(folder.path().join("authorized_keys"), format!("# us\n\n{one} a host\n"))
            .expect("writes");
        let peers = Peers::authorized(folder.path(), &[two]).expect("reads");
        peers.check(one).expect("in the file");
        peers.check(two).expect("named");
        assert!(peers.check(three).is_err());
        fs::write(folder.path().join("authorized_keys"), "ssh-rsa AAAA\n").expect("writes");
        let error = Peers::authorized(folder.path(), &[]).expect_err("no key").to_string();
        assert!(error.contains("line 1"), "{error}");
    }
}
