//! A connection that speaks the line grammar: bursts of lines through the store.

use std::ops::Range;

use crate::grammar::{Command, GrammarError, LineTooLong, Lines, Operand, ReplyLine, parse};
use crate::op::{Condition, Expiry, Op, Reply};
use crate::servers::connection::{Reason, Served};
use crate::servers::counters::add;
use crate::servers::engine::Burst;
use crate::servers::service::StoreService;
use crate::servers::standing::Begun;
use crate::{Database, pair_of, pair_value};

/// Lines that are read together.
const BURST: usize = 64;
/// Bytes of a line before the password is known.
const UNAUTHENTICATED_LINE: usize = 4096;

/// What is known of a connection.
#[derive(Debug, Default)]
pub(in crate::servers) struct LineSession {
    lines: Lines,
    pub(super) db: Database,
    /// The database's name.
    pub(super) name: String,
    pub(super) authenticated: bool,
    pub(super) wrong_passwords: u32,
    pub(super) close: Option<Reason>,
}

impl LineSession {
    pub(in crate::servers) fn new(db: Database, authenticated: bool) -> Self {
        Self { db, name: "default".to_owned(), authenticated, ..Self::default() }
    }
}

/// A line of a burst.
struct Line<'a> {
    command: Result<Command<'a>, GrammarError>,
    /// Bytes of the input up to its end.
    end: usize,
    /// The pair's key among the decoded ones, when it was written in hexadecimal digits.
    decoded: Range<usize>,
    /// The pair's value.
    value: [u8; 6],
}

/// How the answer to an operation becomes a line.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Inserted,
    Value(u64),
    Edited(u64),
    Deleted(u64),
    PairSet(bool),
    Pair,
    PairDeleted,
}

/// Lines that are still to be made of answers.
#[derive(Debug)]
pub(in crate::servers) struct LineAnswers {
    answers: Vec<Answer>,
    db: Database,
    /// All operations only read: lines may wait for room.
    reads: bool,
    /// The next answer.
    next: usize,
}

/// Operations of a burst, and how their answers become lines.
struct Plan<'a> {
    ops: Vec<Op<'a>>,
    answers: Vec<Answer>,
}

impl StoreService {
    /// Executes the lines at the front of `input`.
    pub(in crate::servers) fn serve_lines(
        &mut self,
        session: &mut LineSession,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Served {
        let mut decoded = std::mem::take(&mut self.decoded);
        decoded.clear();
        decoded.shrink_to(1 << 20);
        let (lines, mut served) = self.read_lines(session, input, &mut decoded);
        add(&self.common.counters.bursts, 1);
        add(&self.common.counters.commands, lines.len() as u64);
        let done = self.run_lines(session, &lines, &decoded, out);
        self.decoded = decoded;
        if done < lines.len() || session.close.is_some() || self.begun.is_some() {
            // The lines that found no room for their replies are read again.
            served.consumed = done.checked_sub(1).map_or(0, |last| lines[last].end);
            served.need = 1;
            served.close = None;
            session.lines = Lines::new();
        } else if let Some(Reason::Protocol(text)) = &served.close {
            ReplyLine::error(out, text);
        }
        served.close = session.close.take().or(served.close);
        served
    }

    fn read_lines<'a>(
        &self,
        session: &mut LineSession,
        input: &'a [u8],
        decoded: &mut Vec<u8>,
    ) -> (Vec<Line<'a>>, Served) {
        let limit = self.common.limits.line_bytes;
        let limit = if session.authenticated { limit } else { limit.min(UNAUTHENTICATED_LINE) };
        let mut lines = Vec::with_capacity(BURST);
        let mut served = Served { need: 1, ..Served::default() };
        while lines.len() < BURST {
            let rest = &input[served.consumed..];
            match session.lines.next(rest, limit) {
                Ok(Some((line, taken))) => {
                    served.consumed += taken;
                    // A blank line gets no reply.
                    if let Some(command) = parse(&rest[line]).transpose() {
                        lines.push(Line::new(command, served.consumed, decoded));
                    }
                }
                Ok(None) => {
                    served.need = rest.len() + 1;
                    break;
                }
                Err(error @ LineTooLong { .. }) => {
                    served.close = Some(Reason::Protocol(error.to_string()));
                    break;
                }
            }
        }
        (lines, served)
    }

    /// Executes lines while replies find room; gives how many are answered.
    fn run_lines(
        &mut self,
        session: &mut LineSession,
        lines: &[Line<'_>],
        decoded: &[u8],
        out: &mut Vec<u8>,
    ) -> usize {
        let (ops, answers) = (Vec::with_capacity(lines.len()), Vec::with_capacity(lines.len()));
        let mut plan = Plan { ops, answers };
        let mut done = 0;
        for line in lines {
            let op = match &line.command {
                Ok(command) if session.authenticated => line.op(command, session.db, decoded),
                _ => None,
            };
            let turns = match (&op, plan.ops.last()) {
                (None, _) => true,
                (Some((op, _)), Some(last)) => self.apart > 0 && op.reads() != last.reads(),
                (Some(_), None) => false,
            };
            if turns {
                done += self.answer_lines(session.db, &mut plan, out);
                if !plan.answers.is_empty() || self.begun.is_some() {
                    return done;
                }
            }
            if let Some((op, answer)) = op {
                plan.ops.push(op);
                plan.answers.push(answer);
                continue;
            }
            if out.len() > self.common.limits.output_bytes {
                return done;
            }
            match &line.command {
                Ok(command) => self.line_alone(session, command, out),
                Err(error @ GrammarError::Http) => {
                    ReplyLine::error(out, error);
                    session.close = Some(Reason::Protocol("an HTTP request".into()));
                }
                Err(error) if session.authenticated => ReplyLine::error(out, error),
                Err(_) => ReplyLine::error(out, "auth_required"),
            }
            done += 1;
            if session.close.is_some() || self.begun.is_some() {
                return done;
            }
        }
        done + self.answer_lines(session.db, &mut plan, out)
    }

    /// Executes the plan and writes its lines; gives how many. Those are all, and the plan is empty, unless it only
    /// read and there is no more room. When answers come from other loops the lines follow later: then
    /// [`StoreService::begun`] says so.
    fn answer_lines(&mut self, db: Database, plan: &mut Plan<'_>, out: &mut Vec<u8>) -> usize {
        if plan.answers.is_empty() {
            return 0;
        }
        let mut burst = std::mem::take(&mut self.burst);
        let here = self.engine.begin(&plan.ops, &mut burst, self.token);
        self.until = self.until.max(burst.until());
        let reads = plan.ops.iter().all(Op::reads);
        let answers = std::mem::take(&mut plan.answers);
        let mut answers = LineAnswers { answers, db, reads, next: 0 };
        if !here {
            plan.ops.clear();
            let count = answers.answers.len();
            self.begun = Some(Begun::Lines(burst, answers));
            return count;
        }
        let all = self.write_lines(&mut burst, &mut answers, out);
        let done = answers.next;
        plan.answers = answers.answers;
        if all {
            plan.ops.clear();
            plan.answers.clear();
        }
        self.burst = burst;
        done
    }

    /// Writes lines, while they find room when nothing was written; whether all are.
    pub(in crate::servers) fn write_lines(
        &mut self,
        burst: &mut Burst,
        of: &mut LineAnswers,
        out: &mut Vec<u8>,
    ) -> bool {
        let room = self.common.limits.output_bytes;
        let before = out.len();
        while let Some(&answer) = of.answers.get(of.next) {
            if of.reads && out.len() > room {
                break;
            }
            self.engine.ensure(burst, of.next);
            self.answer_line(answer, of.db, burst, of.next, out);
            of.next += 1;
        }
        let large = !of.reads && out.len() - before > room;
        self.apart = if large { 1000 } else { self.apart.saturating_sub(1) };
        of.next == of.answers.len()
    }

    fn answer_line(
        &self,
        answer: Answer,
        db: Database,
        burst: &Burst,
        index: usize,
        out: &mut Vec<u8>,
    ) {
        let reply = match burst.get(index) {
            Some(Reply::Failed(error)) => return ReplyLine::error(out, format_args!("{error}")),
            Some(reply) => reply,
            None => return ReplyLine::error(out, "internal_error:no answer"),
        };
        let value = self.engine.value(burst, index);
        match (answer, reply) {
            (Answer::Inserted, Reply::Absolute(absolute)) => {
                ReplyLine::success(out).number("key", absolute);
            }
            (Answer::Value(_), Reply::Value { .. }) => {
                let value = value.unwrap_or_default();
                ReplyLine::success(out).number("size", value.len() as u64).raw("value", value);
            }
            (Answer::Edited(absolute), Reply::Done) => {
                ReplyLine::success(out).text("key", format_args!("{absolute}_updated"));
            }
            (Answer::Deleted(absolute), Reply::Done) => {
                ReplyLine::success(out).text("key", format_args!("{absolute}_deleted"));
            }
            (Answer::PairSet(hidden), Reply::Done) => {
                let word = if hidden { "pair_set_hidden" } else { "pair_set" };
                ReplyLine::success(out).word(word);
            }
            (Answer::Pair, Reply::Value { .. }) => match value.and_then(pair_of) {
                Some(absolute) => {
                    ReplyLine::success(out).number("key", absolute);
                }
                None => ReplyLine::error(out, "internal_error:the pair is malformed"),
            },
            (Answer::PairDeleted, Reply::Done) => {
                ReplyLine::success(out).word("pair_deleted");
            }
            (Answer::Pair | Answer::PairDeleted, _) => ReplyLine::error(out, "not_found"),
            (Answer::Value(absolute) | Answer::Edited(absolute) | Answer::Deleted(absolute), _) => {
                let given_out = self.engine.was_given_out(burst, index, db.objects(), absolute);
                ReplyLine::error(out, missing(answer, absolute, given_out));
            }
            (Answer::Inserted | Answer::PairSet(_), _) => {
                ReplyLine::error(out, "internal_error:the store gave another answer");
            }
        }
    }
}

/// What a client is told about an absolute key without a value.
const fn missing(answer: Answer, absolute: u64, given_out: bool) -> &'static str {
    match answer {
        _ if absolute != 0 && !given_out => "key_not_found",
        Answer::Deleted(_) => "already_deleted",
        _ => "key_not_found (deleted)",
    }
}

impl<'a> Line<'a> {
    fn new(command: Result<Command<'a>, GrammarError>, end: usize, decoded: &mut Vec<u8>) -> Self {
        let begin = decoded.len();
        let mut value = [0; 6];
        if let Ok(
            Command::PairSet { key, .. } | Command::PairGet { key } | Command::PairDel { key },
        ) = &command
            && let Operand::Hex(_) = key
        {
            key.append_to(decoded);
        }
        if let Ok(Command::PairSet { abs, .. }) = command {
            value = pair_value(abs);
        }
        Self { command, end, decoded: begin..decoded.len(), value }
    }

    /// The command as an operation, when it is one.
    fn op<'b>(
        &'b self,
        command: &'b Command<'a>,
        db: Database,
        decoded: &'b [u8],
    ) -> Option<(Op<'b>, Answer)> {
        let space = db.objects();
        let pairs = db.pairs();
        let key_of = |key: &Operand<'b>| match *key {
            Operand::Raw(bytes) => bytes,
            Operand::Hex(_) => decoded.get(self.decoded.clone()).unwrap_or_default(),
        };
        Some(match command {
            Command::Insert { payload } => (Op::Insert { space, value: payload }, Answer::Inserted),
            &Command::Read { abs: absolute } => {
                (Op::Read { space, absolute }, Answer::Value(absolute))
            }
            &Command::Edit { abs: absolute, payload: value } => {
                (Op::Edit { space, absolute, value }, Answer::Edited(absolute))
            }
            &Command::Delete { abs: absolute } => {
                (Op::Remove { space, absolute }, Answer::Deleted(absolute))
            }
            Command::PairSet { key, hidden, .. } => {
                let (expiry, condition) = (Expiry::Never, Condition::Always);
                let (key, hidden) = (key_of(key), *hidden);
                let value = &self.value[..];
                let put = Op::Put { space: pairs, key, value, expiry, condition, hidden };
                (put, Answer::PairSet(hidden))
            }
            Command::PairGet { key } => (Op::get(pairs, key_of(key)), Answer::Pair),
            Command::PairDel { key } => (Op::delete(pairs, key_of(key)), Answer::PairDeleted),
            _ => return None,
        })
    }
}
