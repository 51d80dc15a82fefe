//! From payloads to operations: checked frames, whole lines, whole commands.
//!
//! Where nobody is answered, what only reads is counted and left out; so is always what belongs to a
//! connection. What is no command ends a text; the commands before it are executed.

use pfs_kv::frame::{Frame, Operation, OperationKind};
use pfs_kv::grammar::{Command, Operand, parse};
use pfs_kv::resp::{Parser, RequestLimits, Requests};
use pfs_kv::{Database, Expiry};

use super::forms::{Form, LineForm};
use super::todo::{Bytes, Kind, Todo};
use crate::counters::KvCounters;

/// Commands of RESP that one payload may have.
const COMMANDS: usize = 1 << 16;
/// The answer to commands that are none of the op's.
const NOT_HERE: &str =
    "ERR not available in a datagram: send GET, MGET, SET [PXAT], MSET, DEL or UNLINK";

/// The operations of a frame that was checked.
pub(super) fn frame<'a>(
    frame: &Frame<'a>,
    db: Database,
    todo: &mut Todo<'a>,
    counters: &mut KvCounters,
) {
    let all = frame.answers_all();
    for (index, operation) in (0..).zip(frame.operations()) {
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
            Operation::Get { key } if todo.answering => todo.get(db.keys(), Bytes::Payload(key)),
            Operation::Get { .. } => {
                counters.gets_refused += 1;
                continue;
            }
        }
        let kind = OperationKind::from(&operation);
        if all || kind == OperationKind::Get {
            todo.ask(1, Form::Operation { index, kind });
        }
    }
}

/// Whether a text is what answers a text: it is not answered in turn, or two ends could go on so.
pub(super) fn is_reply(payload: &[u8]) -> bool {
    let begins = |word: &[u8]| payload.starts_with(word);
    let word = [&b"SUCCESS"[..], b"ERROR", b"PENDING"].into_iter().any(begins);
    word || matches!(payload.first(), Some(b'+' | b'-' | b':' | b'$' | b'_' | b'%'))
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
            Err(error) => {
                todo.ask(0, Form::Grammar(error));
                return false;
            }
        };
        if !line_op(&command, db, todo) {
            match command {
                Command::Read { .. } | Command::PairGet { .. } => counters.gets_refused += 1,
                _ => {
                    counters.unsupported += 1;
                    todo.ask(0, Form::LineNotHere);
                }
            }
        }
    }
    true
}

/// Adds a line's operation; `false` when it is none, or only reads and nobody is answered.
fn line_op<'a>(command: &Command<'a>, db: Database, todo: &mut Todo<'a>) -> bool {
    let form = match *command {
        Command::Insert { payload } => {
            todo.object(db, Kind::Insert, payload);
            LineForm::Inserted
        }
        Command::Edit { abs, payload } => {
            todo.object(db, Kind::Edit(abs), payload);
            LineForm::Edited(abs)
        }
        Command::Delete { abs } => {
            todo.object(db, Kind::Remove(abs), b"");
            LineForm::Deleted(abs)
        }
        Command::Read { abs } if todo.answering => {
            todo.object(db, Kind::Read(abs), b"");
            LineForm::Value
        }
        Command::PairSet { ref key, abs, hidden } => {
            let key = operand(key, todo);
            todo.pair(db, key, abs, hidden);
            LineForm::PairSet(hidden)
        }
        Command::PairGet { ref key } if todo.answering => {
            let key = operand(key, todo);
            todo.get(db.pairs(), key);
            LineForm::Pair
        }
        Command::PairDel { ref key } => {
            let key = operand(key, todo);
            todo.delete(db.pairs(), key);
            LineForm::PairDeleted
        }
        _ => return false,
    };
    todo.ask(1, Form::Line(form));
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
        let keys = spans.len() - 1;
        match spans.len() {
            3 if is(b"SET") => {
                todo.put(db, word(1), word(2), Expiry::Never);
                todo.ask(1, Form::Done);
            }
            5 if is(b"SET") && word(3).eq_ignore_ascii_case(b"PXAT") => {
                match std::str::from_utf8(word(4)).ok().and_then(|at| at.parse::<u64>().ok()) {
                    Some(at) if at > 0 => {
                        todo.put(db, word(1), word(2), Expiry::At(at));
                        todo.ask(1, Form::Done);
                    }
                    _ => {
                        todo.ask(0, Form::Wrong("ERR invalid expire time in 'set' command"));
                        return false;
                    }
                }
            }
            3.. if is(b"MSET") && keys % 2 == 0 => {
                for at in (1..spans.len()).step_by(2) {
                    todo.put(db, word(at), word(at + 1), Expiry::Never);
                }
                todo.ask(keys / 2, Form::Done);
            }
            2.. if is(b"DEL") || is(b"UNLINK") => {
                for at in 1..spans.len() {
                    todo.delete(db.keys(), Bytes::Payload(word(at)));
                }
                todo.ask(keys, Form::Count);
            }
            2 if is(b"GET") && todo.answering => {
                todo.get(db.keys(), Bytes::Payload(word(1)));
                todo.ask(1, Form::Value);
            }
            2.. if is(b"MGET") && todo.answering => {
                for at in 1..spans.len() {
                    todo.get(db.keys(), Bytes::Payload(word(at)));
                }
                todo.ask(keys, Form::Values);
            }
            2.. if is(b"GET") || is(b"MGET") => counters.gets_refused += keys as u64,
            _ => {
                counters.unsupported += 1;
                todo.ask(0, Form::Wrong(NOT_HERE));
            }
        }
    }
    let whole = parsed.error.is_none() && parsed.consumed == payload.len();
    if !whole {
        todo.ask(0, Form::Wrong("ERR Protocol error: the datagram ends within a command"));
    }
    whole
}
