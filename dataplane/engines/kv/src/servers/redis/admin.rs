//! Commands about the connection and the server.

use std::fmt::Write as _;

use crate::Database;
use crate::resp::{Encoder, Version};
use crate::servers::connection::Reason;
use crate::servers::counters::add;
use crate::servers::glob;
use crate::servers::service::{DATABASES, StoreService};

use super::commands::{self, COMMANDS, Command, Name};
use super::options::integer;
use super::plan::Words;
use super::session::RedisSession;
use super::tasks::RedisTask;

const WRONG_PASSWORD: &str = "WRONGPASS invalid username-password pair or user is disabled.";
const NO_PASSWORD: &str = "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?";
const SYNTAX: &str = "ERR syntax error";

impl StoreService {
    /// A command that is neither operations nor part of a transaction.
    pub(super) fn other(
        &mut self,
        session: &mut RedisSession,
        command: &Command,
        words: Words<'_>,
        out: &mut Vec<u8>,
    ) {
        let version = session.version;
        let out = &mut Encoder::new(out, version);
        match command.which {
            Name::Scan => self.scan(session, words, out),
            Name::DbSize => out.integer(self.engine.keys(session.db.keys()) as i64),
            Name::FlushDb => {
                let task = RedisTask::flush([session.db.keys()], version);
                self.begin_redis(task, out.raw());
            }
            Name::FlushAll => {
                let databases = (0..DATABASES).filter_map(|index| self.engine.existing(index));
                let task = RedisTask::flush(databases.map(Database::keys), version);
                self.begin_redis(task, out.raw());
            }
            Name::Select => self.select(session, words.at(1), out),
            Name::Ping => match words.len() {
                1 => out.simple("PONG"),
                2 => out.bulk(words.at(1)),
                _ => out.error("ERR wrong number of arguments for 'ping' command"),
            },
            Name::Echo => out.bulk(words.at(1)),
            Name::Time => {
                let now = crate::servers::event_loop::microseconds();
                out.array(2);
                out.bulk((now / 1_000_000).to_string().as_bytes());
                out.bulk((now % 1_000_000).to_string().as_bytes());
            }
            Name::Info => out.bulk(self.info(words).as_bytes()),
            Name::Config => self.config(words, out),
            Name::Describe => describe(words, out),
            Name::Client => self.client(session, words, out),
            Name::Hello => self.hello(session, words, out.raw()),
            Name::Auth => self.auth(session, words, out),
            Name::Reset => {
                session.reset(self.secret.is_none());
                Encoder::new(out.raw(), session.version).simple("RESET");
            }
            Name::Quit => {
                out.ok();
                session.close = Some(Reason::Client);
            }
            name => self.expire_if(session.db.keys(), name, words, out),
        }
    }

    fn select(&mut self, session: &mut RedisSession, word: &[u8], out: &mut Encoder<'_>) {
        let Ok(index) = integer(word) else {
            return out.error("ERR value is not an integer or out of range");
        };
        let index = u32::try_from(index).ok().filter(|&index| index < DATABASES);
        let Some(index) = index else { return out.error("ERR DB index is out of range") };
        match self.engine.numbered(index) {
            Ok(db) => {
                (session.index, session.db) = (index, db);
                out.ok();
            }
            Err(error) => out.error(&format!("ERR {error}")),
        }
    }

    /// Whether `password` opens the server; counts it when it does not.
    fn try_password(&self, session: &mut RedisSession, user: &[u8], password: &[u8]) -> bool {
        let matches = self.secret.as_ref().is_none_or(|secret| secret.matches(password));
        if matches && user == b"default" {
            session.authenticated = true;
            return true;
        }
        add(&self.common.counters.auth_failures, 1);
        session.wrong_passwords += 1;
        if session.wrong_passwords >= self.common.limits.auth_attempts {
            session.close = Some(Reason::Auth);
        }
        false
    }

    fn auth(&self, session: &mut RedisSession, words: Words<'_>, out: &mut Encoder<'_>) {
        let (user, password) = match words.len() {
            2 => (&b"default"[..], words.at(1)),
            3 => (words.at(1), words.at(2)),
            _ => return out.error(SYNTAX),
        };
        if self.secret.is_none() && words.len() == 2 {
            return out.error(NO_PASSWORD);
        }
        if self.try_password(session, user, password) {
            out.ok();
        } else {
            out.error(WRONG_PASSWORD);
        }
    }

    /// `HELLO [version [AUTH user password] [SETNAME name]]`.
    fn hello(&self, session: &mut RedisSession, words: Words<'_>, out: &mut Vec<u8>) {
        let mut version = session.version;
        if words.len() > 1 {
            version = match words.at(1) {
                b"2" => Version::Resp2,
                b"3" => Version::Resp3,
                _ => {
                    let text = "NOPROTO unsupported protocol version";
                    return Encoder::new(out, session.version).error(text);
                }
            };
        }
        let (mut at, mut name) = (2, None);
        while at < words.len() {
            let left = words.len() - at;
            if words.at(at).eq_ignore_ascii_case(b"AUTH") && left >= 3 {
                if !self.try_password(session, words.at(at + 1), words.at(at + 2)) {
                    return Encoder::new(out, session.version).error(WRONG_PASSWORD);
                }
                at += 3;
            } else if words.at(at).eq_ignore_ascii_case(b"SETNAME") && left >= 2 {
                name = Some(words.at(at + 1).to_vec());
                at += 2;
            } else {
                return Encoder::new(out, session.version).error(SYNTAX);
            }
        }
        if !session.authenticated {
            let text = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time";
            return Encoder::new(out, session.version).error(text);
        }
        session.name = name.unwrap_or_else(|| std::mem::take(&mut session.name));
        session.version = version;
        let mut out = Encoder::new(out, version);
        out.map(7);
        for (key, value) in [("server", "redis"), ("version", REDIS_VERSION)] {
            out.bulk(key.as_bytes());
            out.bulk(value.as_bytes());
        }
        out.bulk(b"proto");
        out.integer(if version == Version::Resp3 { 3 } else { 2 });
        out.bulk(b"id");
        out.integer(session.id as i64);
        for (key, value) in [("mode", "standalone"), ("role", "master")] {
            out.bulk(key.as_bytes());
            out.bulk(value.as_bytes());
        }
        out.bulk(b"modules");
        out.array(0);
    }

    fn client(&self, session: &mut RedisSession, words: Words<'_>, out: &mut Encoder<'_>) {
        let is =
            |name: &[u8], len: usize| words.at(1).eq_ignore_ascii_case(name) && words.len() == len;
        match () {
            () if is(b"ID", 2) => out.integer(session.id as i64),
            () if is(b"GETNAME", 2) && session.name.is_empty() => out.null(),
            () if is(b"GETNAME", 2) => out.bulk(&session.name),
            () if is(b"SETNAME", 3) => {
                let name = words.at(2);
                if name.len() > 256 || name.iter().any(|byte| !(b'!'..=b'~').contains(byte)) {
                    return out.error(
                        "ERR Client names cannot contain spaces, newlines or special characters.",
                    );
                }
                session.name = name.to_vec();
                out.ok();
            }
            () if is(b"SETINFO", 4) || is(b"NO-EVICT", 3) || is(b"NO-TOUCH", 3) => out.ok(),
            () if is(b"INFO", 2) || is(b"LIST", 2) => {
                let name = session.name.escape_ascii();
                let (id, db) = (session.id, session.index);
                let resp = if session.version == Version::Resp3 { 3 } else { 2 };
                out.bulk(format!("id={id} name={name} db={db} resp={resp}\n").as_bytes());
            }
            () => {
                let shown = words.at(1)[..words.at(1).len().min(64)].escape_ascii();
                out.error(&format!(
                    "ERR unknown subcommand or wrong number of arguments for '{shown}'."
                ));
            }
        }
    }

    fn config(&self, words: Words<'_>, out: &mut Encoder<'_>) {
        if words.at(1).eq_ignore_ascii_case(b"GET") && words.len() > 2 {
            let settings = self.settings();
            let wanted = |name: &&(&str, String)| {
                let mut patterns = words.from(2).map(<[u8]>::to_ascii_lowercase);
                patterns.any(|pattern| glob::matches(&pattern, name.0.as_bytes()))
            };
            let found: Vec<_> = settings.iter().filter(wanted).collect();
            out.map(found.len());
            for (name, value) in found {
                out.bulk(name.as_bytes());
                out.bulk(value.as_bytes());
            }
        } else if words.at(1).eq_ignore_ascii_case(b"RESETSTAT") {
            out.error("ERR counters are not reset: take differences");
        } else {
            out.error("ERR settings are given when the server starts; only CONFIG GET is served");
        }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let limits = &self.common.limits;
        vec![
            ("appendonly", if self.engine.is_durable() { "yes" } else { "no" }.into()),
            ("save", String::new()),
            ("databases", DATABASES.to_string()),
            ("maxclients", limits.connections.to_string()),
            ("maxmemory", self.engine.memory_bound().to_string()),
            ("maxmemory-policy", "noeviction".into()),
            ("proto-max-bulk-len", limits.value_bytes.to_string()),
            ("timeout", limits.idle.as_secs().to_string()),
        ]
    }

    /// `INFO`, the sections that are asked for; all without any.
    fn info(&mut self, words: Words<'_>) -> String {
        let wanted = |name: &str| {
            words.len() == 1
                || words.from(1).any(|word| {
                    let all = [&b"all"[..], b"default", b"everything", name.as_bytes()];
                    all.iter().any(|one| word.eq_ignore_ascii_case(one))
                })
        };
        let mut text = String::new();
        let mut section = |name: &str, rows: Vec<(String, String)>| {
            if !wanted(name) {
                return;
            }
            let title = name[..1].to_uppercase() + &name[1..];
            // Writing to a string does not fail.
            let _ = write!(text, "# {title}\r\n");
            for (key, value) in rows {
                let _ = write!(text, "{key}:{value}\r\n");
            }
            text.push_str("\r\n");
        };
        let row = |key: &str, value: &dyn ToString| (key.to_owned(), value.to_string());
        let counters = self.common.counters.read();
        let usage = self.engine.usage();
        section(
            "server",
            vec![
                row("redis_version", &REDIS_VERSION),
                row("pfs_version", &env!("CARGO_PKG_VERSION")),
                row("redis_mode", &"standalone"),
                row("process_id", &std::process::id()),
                row("uptime_in_seconds", &(self.now.saturating_sub(self.started) / 1000)),
            ],
        );
        section(
            "clients",
            vec![
                row("connected_clients", &counters.connections),
                row("maxclients", &self.common.limits.connections),
            ],
        );
        section(
            "memory",
            vec![
                row("used_memory", &usage.memory()),
                row("used_memory_dataset", &usage.payload),
                row("maxmemory", &self.engine.memory_bound()),
                row("maxmemory_policy", &"noeviction"),
            ],
        );
        section("stats", counters.rows().iter().map(|(name, value, _)| row(name, value)).collect());
        section("keyspace", self.keyspace());
        text
    }

    fn keyspace(&mut self) -> Vec<(String, String)> {
        let mut rows = Vec::new();
        for index in 0..DATABASES {
            let Some(database) = self.engine.existing(index) else { continue };
            let keys = self.engine.keys(database.keys());
            if keys > 0 {
                rows.push((format!("db{index}"), format!("keys={keys}")));
            }
        }
        rows
    }
}

/// The release of Redis whose commands and replies these are.
const REDIS_VERSION: &str = "7.0.0";

/// `COMMAND`, `COMMAND COUNT`, `COMMAND LIST`, `COMMAND INFO [name …]`, `COMMAND DOCS`.
fn describe(words: Words<'_>, out: &mut Encoder<'_>) {
    let is = |name: &[u8]| words.at(1).eq_ignore_ascii_case(name);
    if words.len() == 1 || is(b"INFO") && words.len() == 2 {
        out.array(COMMANDS.len());
        COMMANDS.iter().for_each(|command| describe_one(command, out));
    } else if is(b"INFO") {
        out.array(words.len() - 2);
        for name in words.from(2) {
            match commands::named(name) {
                Some(command) => describe_one(command, out),
                None => out.null(),
            }
        }
    } else if is(b"COUNT") {
        out.integer(COMMANDS.len() as i64);
    } else if is(b"LIST") {
        out.array(COMMANDS.len());
        COMMANDS.iter().for_each(|command| out.bulk(command.name.as_bytes()));
    } else if is(b"DOCS") {
        // Help texts: clients do without.
        out.map(0);
    } else {
        out.error("ERR unknown subcommand; COMMAND has COUNT, LIST, INFO and DOCS");
    }
}

fn describe_one(command: &Command, out: &mut Encoder<'_>) {
    out.array(6);
    out.bulk(command.name.as_bytes());
    out.integer(command.arity.into());
    let flags = command.flags.split_whitespace();
    out.array(flags.clone().count());
    flags.for_each(|flag| out.simple(flag));
    command.keys.iter().for_each(|&key| out.integer(key.into()));
}
