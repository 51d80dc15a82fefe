//! `pfs kv`: a store served, and a store asked, from the command line.

mod args;
mod bytes;
mod link;
mod one;
mod pair_lines;
mod pairs;
mod serve;
mod shell;
mod transfer;
mod values;

use std::ffi::OsStr;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::failure::Failure;

pub(crate) use args::KvCommand;
use bytes::Form;
use one::Entry;
pub(crate) use transfer::{bytes as either_bytes, either};
pub(crate) use values::SecretFrom;

/// `pfs kv`.
///
/// # Errors
/// What the command could not do.
pub(crate) fn kv(command: &KvCommand) -> Result<(), Failure> {
    match command {
        KvCommand::Serve(args) => serve::serve(args),
        KvCommand::Get { key, form, target } => one::get(key, *form, target),
        KvCommand::Set(args) => one::set(args),
        KvCommand::Del { keys, form, target } => one::del(keys, *form, target),
        KvCommand::Scan(args) => one::scan(args),
        KvCommand::Summary(args) => pairs::summary(args),
        KvCommand::Reduce(args) => pairs::reduce(args),
        KvCommand::Stats { json, target } => one::stats(*json, target),
        KvCommand::Import(args) => transfer::import(args),
        KvCommand::Export(args) => transfer::export(args),
        KvCommand::Shell { history, target } => shell::shell(history.as_deref(), target),
    }
}

/// A store whose keys are read: a folder's, or that of a server which speaks RESP.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'a> {
    /// A folder, which no other process may have open.
    Folder(&'a Path),
    /// A server that asks for no password.
    Server(SocketAddr),
}

/// Gives all keys of the database `default` of a store to `each`, in order, as RESP tells them: key, value,
/// expiry. `each` tells whether to go on.
///
/// # Errors
/// When the store cannot be opened or read.
pub(crate) fn walk(
    place: Place<'_>,
    mut each: impl FnMut(Entry) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let (dir, server) = match place {
        Place::Folder(folder) => (Some(folder.to_owned()), String::new()),
        Place::Server(address) => (None, address.to_string()),
    };
    let (db, cheetah) = ("default".to_owned(), String::new());
    let target = args::Target { server, cheetah, dir, db, auth: None, timeout: 60 };
    let link = link::Link::open(&target, false)?;
    let mut client = link.client()?;
    let mut pages = one::Pages::new(b"");
    while let Some(keys) = pages.next(&mut client)? {
        if !one::entries(&mut client, keys, &mut each)? {
            break;
        }
    }
    link.close()
}

/// The bytes that an argument stands for.
fn given(argument: &OsStr, form: Form, what: &str) -> Result<Vec<u8>, Failure> {
    form.read(argument.as_bytes()).map_err(|why| Failure::usage(format!("{what}: {why}")))
}

/// Writes bytes to standard output; whether anybody reads on.
///
/// # Errors
/// When they cannot be written, other than for want of a reader.
fn put(bytes: &[u8]) -> Result<bool, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::failed(format!("writing to standard output: {error}"))),
    }
}

/// Whether a value needs a line's end behind it: raw bytes only on a terminal.
fn ends_line(form: Form) -> bool {
    form != Form::Raw || io::stdout().is_terminal()
}
