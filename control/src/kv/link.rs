//! Ways to a store: a server's, or one that this process opens for itself.
//!
//! A folder's store is served to this process alone, on free ports of 127.0.0.1 behind a password
//! drawn at random, so that every command has one way to work.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use pfs_kv::resp::{Client, Reply};
use pfs_kv::servers::{Secret, Serve, Server};
use pfs_kv::{DurableError, Store, StoreSettings, valid_name};

use super::args::Target;
use super::bytes;
use crate::failure::Failure;

/// Memory bound of a folder that is opened for one command: what a shard can have at most.
const BOUND: u64 = 32 << 30;
/// Longest reply line: what a server gives at most, and its head.
const LINE_MAX: u64 = (256 << 20) + 4096;

/// A store that commands can be sent to.
#[derive(Debug)]
pub(super) struct Link {
    server: String,
    cheetah: String,
    password: Option<Vec<u8>>,
    timeout: Duration,
    db: String,
    own: Option<Server>,
}

impl Link {
    /// Finds the store that `target` names; a folder without one gets it only when it `makes` one.
    ///
    /// # Errors
    /// When a folder's store cannot be opened, or a password not read.
    pub(super) fn open(target: &Target, makes: bool) -> Result<Self, Failure> {
        let timeout = Duration::from_secs(target.timeout);
        let db = target.db.clone();
        let Some(folder) = &target.dir else {
            let password = target.auth.as_ref().map(super::values::SecretFrom::read).transpose()?;
            let (server, cheetah) = (target.server.clone(), target.cheetah.clone());
            return Ok(Self { server, cheetah, password, timeout, db, own: None });
        };
        if !makes && !folder.join("store").exists() {
            return Err(Failure::failed(format!(
                "{} holds no store; `pfs kv serve --dir`, set, import and shell make one",
                folder.display()
            )));
        }
        let (store, _) = open_store(
            folder,
            None,
            StoreSettings { memory_bytes: BOUND, ..StoreSettings::default() },
        )?;
        let password = random()?;
        let local = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        let auth = Secret::new(password.clone());
        let serve = Serve { resp: local, cheetah: local, auth, ..Serve::default() };
        let own = serve.start(store).map_err(Failure::failed)?;
        let text =
            |address: Option<SocketAddr>| address.map_or_else(String::new, |a| a.to_string());
        let (server, cheetah) = (text(own.resp()), text(own.cheetah()));
        Ok(Self { server, cheetah, password: Some(password), timeout, db, own: Some(own) })
    }

    /// A connection that speaks RESP, in the database asked for.
    ///
    /// # Errors
    /// When there is no server, or it refuses the password or the database.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        let index = match self.db.as_str() {
            "default" => 0,
            number => number.parse::<u8>().ok().filter(|index| *index < 16).ok_or_else(|| {
                Failure::usage(format!(
                    "--db {number:?}: keys live in the databases default and 1 to 15"
                ))
            })?,
        };
        let mut client = Client::connect(&self.server, self.timeout).map_err(Failure::failed)?;
        if let Some(password) = &self.password {
            expect_ok(client.call([&b"AUTH"[..], password]).map_err(Failure::failed)?, "AUTH")?;
        }
        if index != 0 {
            let index = index.to_string();
            let reply = client.call([&b"SELECT"[..], index.as_bytes()]).map_err(Failure::failed)?;
            expect_ok(reply, "SELECT")?;
        }
        Ok(client)
    }

    /// A connection that speaks the line grammar, in the database asked for.
    ///
    /// # Errors
    /// As [`Self::client`].
    pub(super) fn lines(&self) -> Result<LineClient, Failure> {
        if !valid_name(&self.db) {
            return Err(Failure::usage(format!(
                "--db {:?}: a name has 1 to 64 letters, digits, `-`, `_` and inner `.`",
                self.db
            )));
        }
        let mut lines = LineClient::connect(&self.cheetah, self.timeout)?;
        if let Some(password) = &self.password {
            if password.contains(&b'\n') {
                return Err(Failure::failed(
                    "a password with a line's end cannot be sent in a line",
                ));
            }
            lines.call(&[&b"AUTH "[..], password].concat())?;
        }
        if self.db != "default" {
            lines.call(format!("DATABASE {}", self.db).as_bytes())?;
        }
        Ok(lines)
    }

    /// Closes the store, where this process opened it.
    ///
    /// # Errors
    /// When its server had failed.
    pub(super) fn close(mut self) -> Result<(), Failure> {
        match self.own.take() {
            Some(server) => server.stop().map(drop).map_err(Failure::failed),
            None => Ok(()),
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // A command that failed has said so; the store is flushed all the same.
        if let Some(server) = self.own.take() {
            let _ = server.stop();
        }
    }
}

/// Opens the store in `folder` with the shards that it has; `shards` are those of a new one. Tells
/// how many it has.
///
/// # Errors
/// Of [`Store::open`]; when `shards` are given and it has others.
pub(super) fn open_store(
    folder: &Path,
    shards: Option<u32>,
    settings: StoreSettings,
) -> Result<(Store, u32), Failure> {
    let asked = shards.unwrap_or(settings.shards);
    let settings = StoreSettings { shards: asked, folder: Some(folder.to_owned()), ..settings };
    match Store::open(&settings) {
        Ok(store) => Ok((store, asked)),
        Err(DurableError::Shards { was, .. }) if shards.is_none() => {
            let store = Store::open(&StoreSettings { shards: was, ..settings });
            store.map(|store| (store, was)).map_err(Failure::failed)
        }
        Err(error) => Err(Failure::failed(error)),
    }
}

/// A password that nobody can guess.
fn random() -> Result<Vec<u8>, Failure> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|error| Failure::failed(format!("reading /dev/urandom: {error}")))?;
    let mut text = Vec::new();
    bytes::hex(&bytes, &mut text);
    Ok(text)
}

/// Nothing, for `+OK`.
///
/// # Errors
/// What the server said instead.
pub(super) fn expect_ok(reply: Reply, command: &str) -> Result<(), Failure> {
    match reply {
        Reply::Simple(_) => Ok(()),
        other => Err(refused(&other, command)),
    }
}

/// What a reply other than the one expected says.
pub(super) fn refused(reply: &Reply, command: &str) -> Failure {
    match reply {
        Reply::Error(text) => {
            let text = String::from_utf8_lossy(text);
            let remedy =
                if text.starts_with("NOAUTH") { "; name its place with --auth" } else { "" };
            Failure::failed(format!("the server refuses {command}: {text}{remedy}"))
        }
        other => Failure::failed(format!("the server answers {command} with {other:?}")),
    }
}

/// A connection that speaks the line grammar.
#[derive(Debug)]
pub(super) struct LineClient {
    stream: BufReader<TcpStream>,
    server: String,
}

impl LineClient {
    fn connect(server: &str, timeout: Duration) -> Result<Self, Failure> {
        let fail = |error: std::io::Error| {
            Failure::failed(format!(
                "connecting to {server}: {error}; check that the server runs there"
            ))
        };
        let mut last = std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address");
        for address in server.to_socket_addrs().map_err(fail)? {
            match TcpStream::connect_timeout(&address, timeout) {
                Ok(stream) => {
                    stream.set_nodelay(true).map_err(fail)?;
                    stream.set_read_timeout(Some(timeout)).map_err(fail)?;
                    stream.set_write_timeout(Some(timeout)).map_err(fail)?;
                    return Ok(Self { stream: BufReader::new(stream), server: server.to_owned() });
                }
                Err(error) => last = error,
            }
        }
        Err(fail(last))
    }

    /// Sends lines together; what the reply to each says behind `SUCCESS,`, or all of it when it is an error.
    ///
    /// # Errors
    /// When the connection fails.
    pub(super) fn call_many(
        &mut self,
        lines: &[Vec<u8>],
    ) -> Result<Vec<Result<Vec<u8>, String>>, Failure> {
        let mut replies = Vec::with_capacity(lines.len());
        for lines in lines.chunks(64) {
            let fail = |error: std::io::Error| Failure::failed(format!("{}: {error}", self.server));
            let request: Vec<u8> =
                lines.iter().flat_map(|line| [line, &b"\n"[..]]).flatten().copied().collect();
            self.stream.get_mut().write_all(&request).map_err(fail)?;
            for line in lines {
                let reply = self.reply(line)?;
                replies.push(match reply.strip_prefix(b"SUCCESS") {
                    Some(rest) => Ok(rest.strip_prefix(b",").unwrap_or(rest).to_vec()),
                    None => Err(String::from_utf8_lossy(&reply).into_owned()),
                });
            }
        }
        Ok(replies)
    }

    /// The reply to `line`.
    fn reply(&mut self, line: &[u8]) -> Result<Vec<u8>, Failure> {
        let verb = line.split(|byte| *byte == b' ').next().unwrap_or_default();
        let verb = String::from_utf8_lossy(verb);
        let mut reply = Vec::new();
        let read = self.stream.by_ref().take(LINE_MAX).read_until(b'\n', &mut reply);
        read.map_err(|error| Failure::failed(format!("{verb} at {}: {error}", self.server)))?;
        if reply.pop() == Some(b'\n') {
            return Ok(reply);
        }
        Err(Failure::failed(format!(
            "{} closed the connection before its reply to {verb}; its log says why",
            self.server
        )))
    }

    /// Sends one line; what its reply says behind `SUCCESS,`.
    ///
    /// # Errors
    /// When the connection fails, or the server refuses the line.
    pub(super) fn call(&mut self, line: &[u8]) -> Result<Vec<u8>, Failure> {
        let verb = line.split(|byte| *byte == b' ').next().unwrap_or_default();
        let verb = String::from_utf8_lossy(verb).into_owned();
        let fail =
            |error: std::io::Error| Failure::failed(format!("{verb} at {}: {error}", self.server));
        self.stream.get_mut().write_all(&[line, b"\n"].concat()).map_err(fail)?;
        let reply = self.reply(line)?;
        match reply.strip_prefix(b"SUCCESS") {
            Some(rest) => Ok(rest.strip_prefix(b",").unwrap_or(rest).to_vec()),
            None => {
                let text = String::from_utf8_lossy(&reply);
                Err(Failure::failed(format!("the server refuses {verb}: {text}")))
            }
        }
    }
}
