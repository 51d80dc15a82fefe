//! The text grammars in a payload: whole lines, whole commands.
//!
//! A datagram gets no reply, so that what only reads is counted and left out, and so is what
//! belongs to a connection. What is no command ends the payload; the commands before it are executed.

use pfs_kv::frame::{Frame, Operation};
use pfs_kv::grammar::{Command, Operand, parse};
use pfs_kv::resp::{Parser, RequestLimits, Requests};
use pfs_kv::{Database, Expiry};

use super::todo::{Bytes, Kind, Todo};
use crate::counters::KvCounters;

/// Commands of RESP that one payload may have.
const COMMANDS: usize = 1 << 16;

/// The operations of a frame that was checked.
pub(super) fn frame<'a>(
    frame: &Frame<'a>,
    db: Database,
    todo: &mut Todo<'a>,
    counters: &mut KvCounters,
) {
    for operation in frame.operations() {
        match operation {
            Operation::Put { key, value, expires } => {
                let expiry = match expires {
                    None | Some(0) => Expiry::Never,
                    Some(at) => Expiry::At(at),
                };
                todo.put(db, key, value, expiry);
            }
            Operation::Delete { key } => todo.delete(db.keys(), Bytes::Payload(key)),
            Operation::PairSet { key, abs, hidden } => {
                todo.pair(db, Bytes::Payload(key), abs, hidden);
            }
            Operation::Get { .. } => counters.gets_refused += 1,
        }
    }
}

/// The operations of a payload of lines; whether all of it was commands.
pub(super) fn lines<'a>(
    payload: &'a [u8],
    db: Database,
    todo: &mut Todo<'a>,
    counters: &mut KvCounters,
) -> bool {
    for line in payload.split(|byte| *byte == b'\n') {
        let command = match parse(line) {
            Ok(None) => continue,
            Ok(Some(command)) => command,
            Err(_) => return false,
        };
        match command {
            Command::Insert { payload } => todo.object(db, Kind::Insert, payload),
            Command::Edit { abs, payload } => todo.object(db, Kind::Edit(abs), payload),
            Command::Delete { abs } => todo.object(db, Kind::Remove(abs), b""),
            Command::PairSet { key, abs, hidden } => {
                let key = operand(&key, todo);
                todo.pair(db, key, abs, hidden);
            }
            Command::PairDel { key } => {
                let key = operand(&key, todo);
                todo.delete(db.pairs(), key);
            }
            Command::Read { .. } | Command::PairGet { .. } => counters.gets_refused += 1,
            _ => counters.unsupported += 1,
        }
    }
    true
}

fn operand<'a>(operand: &Operand<'a>, todo: &mut Todo<'a>) -> Bytes<'a> {
    match *operand {
        Operand::Raw(bytes) => Bytes::Payload(bytes),
        Operand::Hex(_) => todo.keep(|decoded| operand.append_to(decoded)),
    }
}

/// The operations of a payload of RESP; whether all of it was commands.
pub(super) fn resp<'a>(
    payload: &'a [u8],
    db: Database,
    requests: &mut Requests,
    todo: &mut Todo<'a>,
    counters: &mut KvCounters,
) -> bool {
    requests.clear();
    let limits = RequestLimits::default();
    let parsed = Parser::new().parse(payload, &limits, COMMANDS, requests);
    for spans in requests.iter() {
        let word = |at: usize| -> &'a [u8] {
            spans.get(at).and_then(|span| payload.get(span.range())).unwrap_or_default()
        };
        let is = |name: &[u8]| word(0).eq_ignore_ascii_case(name);
        match spans.len() {
            3 if is(b"SET") => todo.put(db, word(1), word(2), Expiry::Never),
            5 if is(b"SET") && word(3).eq_ignore_ascii_case(b"PXAT") => {
                match std::str::from_utf8(word(4)).ok().and_then(|at| at.parse::<u64>().ok()) {
                    Some(at) if at > 0 => todo.put(db, word(1), word(2), Expiry::At(at)),
                    _ => return false,
                }
            }
            3.. if is(b"MSET") && spans.len() % 2 == 1 => {
                for at in (1..spans.len()).step_by(2) {
                    todo.put(db, word(at), word(at + 1), Expiry::Never);
                }
            }
            2.. if is(b"DEL") || is(b"UNLINK") => {
                for at in 1..spans.len() {
                    todo.delete(db.keys(), Bytes::Payload(word(at)));
                }
            }
            2.. if is(b"GET") || is(b"MGET") => counters.gets_refused += spans.len() as u64 - 1,
            _ => counters.unsupported += 1,
        }
    }
    parsed.error.is_none() && parsed.consumed == payload.len()
}
