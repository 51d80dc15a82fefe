//! A connection that speaks RESP: bursts of commands through the store.

use crate::Database;
use crate::op::{Op, Reply};
use crate::resp::{Encoder, Parser, RequestLimits, Requests, Version};
use crate::servers::connection::{Reason, Served};
use crate::servers::counters::add;
use crate::servers::engine::Burst;
use crate::servers::service::StoreService;

use super::commands::{self, Command, Name};
use super::plan::{Added, Answer, Answers, Plan, Words};
use super::tasks::{RedisTask, WIDE};
use crate::servers::standing::Begun;

/// Operations that are executed together.
const BURST: usize = 64;

/// What is known of a connection.
#[derive(Debug, Default)]
pub(in crate::servers) struct RedisSession {
    parser: Parser,
    pub(super) version: Version,
    pub(super) db: Database,
    /// Number of the database.
    pub(super) index: u32,
    pub(super) id: u64,
    pub(super) name: Vec<u8>,
    pub(in crate::servers) authenticated: bool,
    pub(super) wrong_passwords: u32,
    /// Commands between `MULTI` and `EXEC`.
    multi: Option<Box<Multi>>,
    pub(super) close: Option<Reason>,
}

/// Replies that are still to be made of answers.
#[derive(Debug)]
pub(in crate::servers) struct RedisAnswers {
    /// As [`Plan::answers`].
    answers: Vec<(Answer, u32)>,
    version: Version,
    /// All operations only read: replies may wait for room.
    reads: bool,
    /// The next answer, and its first operation.
    next: usize,
    from: usize,
}

/// Commands that wait for `EXEC`.
#[derive(Debug, Default)]
struct Multi {
    /// As they are sent.
    bytes: Vec<u8>,
    count: usize,
    /// One of them was refused: none is executed.
    failed: bool,
}

impl RedisSession {
    pub(in crate::servers) fn new(id: u64, authenticated: bool) -> Self {
        Self { id, authenticated, ..Self::default() }
    }

    /// As it was when it began.
    pub(super) fn reset(&mut self, authenticated: bool) {
        let parser = std::mem::take(&mut self.parser);
        *self = Self { parser, ..Self::new(self.id, authenticated) };
    }
}

impl StoreService {
    /// Executes the commands at the front of `input`.
    pub(in crate::servers) fn serve_redis(
        &mut self,
        session: &mut RedisSession,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Served {
        let limits = if session.authenticated {
            self.request_limits
        } else {
            RequestLimits::UNAUTHENTICATED
        };
        let mut requests = std::mem::take(&mut self.requests);
        requests.clear();
        let parsed = session.parser.parse(input, &limits, BURST, &mut requests);
        add(&self.common.counters.bursts, 1);
        add(&self.common.counters.commands, requests.len() as u64);
        let done = self.run(session, input, &requests, out);
        let mut served =
            Served { consumed: parsed.consumed, need: parsed.need, ..Served::default() };
        if done < requests.len() || session.close.is_some() || self.begun.is_some() {
            // What was parsed and not executed is parsed again when there is room for its replies.
            served.consumed = requests.bytes_of(done);
            served.need = 1;
            session.parser = Parser::new();
        } else if let Some(error) = parsed.error {
            Encoder::new(out, session.version).error(&format!("ERR Protocol error: {error}"));
            session.close = Some(Reason::Protocol(error.to_string()));
        }
        self.requests = requests;
        served.close = session.close.take();
        served
    }

    /// Executes `requests`, whose words lie in `input`; gives how many of them are answered.
    fn run(
        &mut self,
        session: &mut RedisSession,
        input: &[u8],
        requests: &Requests,
        out: &mut Vec<u8>,
    ) -> usize {
        let mut plan = std::mem::take(&mut self.plan).recycle();
        let mut done = 0;
        let mut stopped = false;
        for spans in requests.iter() {
            let words = Words::new(input, spans);
            if plan.ops.len() >= BURST || self.splits(&plan, words) {
                done += self.flush(session, &mut plan, out);
                stopped = !plan.answers.is_empty() || self.begun.is_some();
            }
            if stopped {
                break;
            }
            if self.plan_command(session, words, &mut plan) {
                continue;
            }
            done += self.flush(session, &mut plan, out);
            let full = out.len() > self.common.limits.output_bytes;
            stopped = !plan.answers.is_empty() || full || self.begun.is_some();
            if stopped {
                break;
            }
            self.direct(session, words, out);
            done += 1;
            stopped = session.close.is_some() || self.begun.is_some();
            if stopped {
                break;
            }
        }
        if !stopped {
            done += self.flush(session, &mut plan, out);
        }
        self.plan = plan.recycle();
        done
    }

    /// Adds a command to the plan, when it may run and is made of operations alone.
    #[inline]
    fn plan_command<'a>(
        &mut self,
        session: &RedisSession,
        words: Words<'a>,
        plan: &mut Plan<'a>,
    ) -> bool {
        if !session.authenticated || session.multi.is_some() {
            return false;
        }
        let name = match (words.at(0), words.len()) {
            ([b'G' | b'g', b'E' | b'e', b'T' | b't'], 2) => Name::Get,
            ([b'S' | b's', b'E' | b'e', b'T' | b't'], 3) => Name::Set,
            (word, len) => match commands::named(word) {
                Some(command) if command.takes(len) => command.which,
                _ => return false,
            },
        };
        if words.len() > WIDE && RedisTask::is_wide(name) {
            return false;
        }
        plan.add(name, words, session.db.keys(), self.now) == Added::Yes
    }

    /// Whether the plan is to be executed before the command `words` is added: reads and writes are executed apart
    /// while values are large, since the values that a mixed burst reads are copied.
    fn splits(&self, plan: &Plan<'_>, words: Words<'_>) -> bool {
        if self.apart == 0 || plan.ops.is_empty() {
            return false;
        }
        let read = commands::named(words.at(0)).is_some_and(|c| c.flags.starts_with("readonly"));
        read != plan.reads() || !read
    }

    /// Executes the plan and writes its replies; gives how many commands are answered. Those are all, and the
    /// plan is empty, unless it only read and there is no more room for replies. When answers come from
    /// other loops the replies follow later: then [`StoreService::begun`] says so.
    fn flush(&mut self, session: &RedisSession, plan: &mut Plan<'_>, out: &mut Vec<u8>) -> usize {
        if plan.answers.is_empty() {
            return 0;
        }
        let mut burst = std::mem::take(&mut self.burst);
        let here = if self.in_transaction {
            let until = self.engine.execute(&plan.ops, &mut burst);
            self.until = self.until.max(until);
            true
        } else {
            let here = self.engine.begin(&plan.ops, &mut burst, self.token);
            self.until = self.until.max(burst.until());
            here
        };
        if !here {
            let answers = std::mem::take(&mut plan.answers);
            let (version, reads) = (session.version, plan.reads());
            plan.ops.clear();
            let count = answers.len();
            let answers = RedisAnswers { answers, version, reads, next: 0, from: 0 };
            self.begun = Some(Begun::Redis(burst, answers));
            return count;
        }
        let mut answers = RedisAnswers {
            answers: std::mem::take(&mut plan.answers),
            version: session.version,
            reads: plan.reads(),
            next: 0,
            from: 0,
        };
        let all = self.write_redis(&mut burst, &mut answers, out);
        let done = answers.next;
        plan.answers = answers.answers;
        if all {
            plan.ops.clear();
            plan.answers.clear();
        }
        self.burst = burst;
        done
    }

    /// Writes replies, while they find room when nothing was written; whether all are.
    pub(in crate::servers) fn write_redis(
        &mut self,
        burst: &mut Burst,
        of: &mut RedisAnswers,
        out: &mut Vec<u8>,
    ) -> bool {
        let before = out.len();
        let most = self.common.limits.reply_bytes;
        let room = self.common.limits.output_bytes;
        let (engine, now) = (&mut self.engine, self.now);
        let mut answers = Answers { engine, replies: burst, now, most, hits: 0, misses: 0 };
        let mut encoder = Encoder::new(out, of.version);
        while let Some(&(answer, count)) = of.answers.get(of.next) {
            if of.reads && encoder.raw().len() > room {
                break;
            }
            answers.write(answer, of.from, count as usize, &mut encoder);
            of.from += count as usize;
            of.next += 1;
        }
        let (hits, misses) = (answers.hits, answers.misses);
        add(&self.common.counters.hits, hits);
        add(&self.common.counters.misses, misses);
        let large = !of.reads && out.len() - before > room;
        self.apart = if large { 1000 } else { self.apart.saturating_sub(1) };
        of.next == of.answers.len()
    }

    /// Executes one command by itself, or says why not.
    fn direct(&mut self, session: &mut RedisSession, words: Words<'_>, out: &mut Vec<u8>) {
        let command = match self.admit(session, words) {
            Ok(command) => command,
            Err(error) => {
                if let Some(multi) = &mut session.multi {
                    multi.failed = true;
                }
                // A browser can be made to send a page's text here: what follows must not be executed.
                let word = words.at(0);
                if [&b"POST"[..], b"PUT", b"HOST:"]
                    .iter()
                    .any(|http| word.eq_ignore_ascii_case(http))
                {
                    session.close = Some(Reason::Protocol("an HTTP request".into()));
                }
                return Encoder::new(out, session.version).error(&error);
            }
        };
        match (command.which, &mut session.multi) {
            (Name::Multi, None) => {
                session.multi = Some(Box::default());
                Encoder::new(out, session.version).ok();
            }
            (Name::Multi, Some(_)) => {
                Encoder::new(out, session.version).error("ERR MULTI calls can not be nested");
            }
            (Name::Exec, _) => self.exec(session, out),
            (Name::Discard, Some(_)) => {
                session.multi = None;
                Encoder::new(out, session.version).ok();
            }
            (Name::Discard, None) => {
                Encoder::new(out, session.version).error("ERR DISCARD without MULTI");
            }
            (Name::Quit | Name::Reset, _) | (_, None) => self.alone(session, command, words, out),
            (_, Some(multi)) => {
                let most = self.request_limits.request_bytes;
                let text = multi.queue(words, most);
                let mut encoder = Encoder::new(out, session.version);
                match text {
                    Ok(()) => encoder.simple("QUEUED"),
                    Err(text) => encoder.error(text),
                }
            }
        }
    }

    /// The command that `words` name, when the client may give it.
    fn admit(&self, session: &RedisSession, words: Words<'_>) -> Result<&'static Command, String> {
        let shown = |word: &[u8]| word[..word.len().min(128)].escape_ascii().to_string();
        let command = commands::named(words.at(0));
        let open = command.is_some_and(|command| command.flags.starts_with("no-auth"));
        if !session.authenticated && !open {
            return Err("NOAUTH Authentication required.".into());
        }
        let Some(command) = command else {
            let args: String =
                words.from(1).take(8).map(|word| format!("'{}' ", shown(word))).collect();
            let name = shown(words.at(0));
            return Err(format!("ERR unknown command '{name}', with args beginning with: {args}"));
        };
        if !command.takes(words.len()) {
            return Err(format!("ERR wrong number of arguments for '{}' command", command.name));
        }
        Ok(command)
    }

    /// A command that is not made of operations alone, or whose arguments are wrong.
    fn alone(
        &mut self,
        session: &mut RedisSession,
        command: &Command,
        words: Words<'_>,
        out: &mut Vec<u8>,
    ) {
        if words.len() > WIDE && RedisTask::is_wide(command.which) {
            let task = RedisTask::wide(command.which, words, session.db.keys(), session.version);
            return self.begin_redis(task, out);
        }
        let mut plan = Plan::default();
        match plan.add(command.which, words, session.db.keys(), self.now) {
            Added::Yes => {
                self.flush(session, &mut plan, out);
            }
            Added::Wrong(error) => Encoder::new(out, session.version).error(&error.to_string()),
            Added::No => self.other(session, command, words, out),
        }
    }

    /// Executes what `MULTI` has queued. Nothing else runs in between: all keys' owners are here or stand still.
    fn exec(&mut self, session: &mut RedisSession, out: &mut Vec<u8>) {
        let Some(multi) = session.multi.take() else {
            return Encoder::new(out, session.version).error("ERR EXEC without MULTI");
        };
        if multi.failed {
            let text = "EXECABORT Transaction discarded because of previous errors.";
            return Encoder::new(out, session.version).error(text);
        }
        let mut requests = Requests::new();
        let limits = RequestLimits { args: u32::MAX, ..self.request_limits };
        Parser::new().parse(&multi.bytes, &limits, multi.count, &mut requests);
        if !self.engine.hold() {
            return Encoder::new(out, session.version).error("ERR the server stops");
        }
        self.in_transaction = true;
        self.exec_held(session, &multi, &requests, out);
        self.in_transaction = false;
        self.engine.unhold();
    }

    fn exec_held(
        &mut self,
        session: &mut RedisSession,
        multi: &Multi,
        requests: &Requests,
        out: &mut Vec<u8>,
    ) {
        let begin = out.len();
        Encoder::new(out, session.version).array(multi.count);
        for spans in requests.iter() {
            let words = Words::new(&multi.bytes, spans);
            self.direct(session, words, out);
            if out.len() - begin > self.common.limits.reply_bytes {
                // What has run has run; its replies do not fit.
                out.truncate(begin);
                let text = "ERR replies of the transaction larger than this server gives";
                Encoder::new(out, session.version).error(text);
                session.close =
                    Some(Reason::Protocol("a transaction's replies are too large".into()));
                return;
            }
        }
    }

    /// Executes one operation that answers without a value.
    pub(in crate::servers) fn execute_one(&mut self, op: Op<'_>) -> Reply {
        let mut replies = std::mem::take(&mut self.burst);
        let until = self.engine.execute(&[op], &mut replies);
        self.until = self.until.max(until);
        let reply = replies.get(0).unwrap_or(Reply::Missing);
        self.burst = replies;
        reply
    }
}

impl Multi {
    fn queue(&mut self, words: Words<'_>, most: usize) -> Result<(), &'static str> {
        let size: usize = words.from(0).map(|word| word.len() + 32).sum();
        if self.bytes.len() + size > most {
            self.failed = true;
            return Err("ERR transaction larger than this server takes");
        }
        let mut encoder = Encoder::new(&mut self.bytes, Version::Resp2);
        encoder.array(words.len());
        words.from(0).for_each(|word| encoder.bulk(word));
        self.count += 1;
        Ok(())
    }
}
