//! Commands that look at many keys, or at a key before they change it.

use crate::op::{Expiry, Op, Reply, Space};
use crate::resp::Encoder;
use crate::servers::engine::PageOf;
use crate::servers::glob;
use crate::servers::service::StoreService;

use super::commands::Name;
use super::options::{ExpireOptions, OptionError, integer};
use super::plan::{Words, expire_deadline, write_error};
use super::session::RedisSession;

/// Keys that one `SCAN` looks at, at most: other clients wait as long.
const MOST_LOOKED_AT: usize = 8192;

/// What `SCAN` is told.
struct ScanOptions<'a> {
    pattern: &'a [u8],
    count: usize,
    /// A type was asked for that no key has.
    nothing: bool,
}

impl<'a> ScanOptions<'a> {
    fn parse(mut words: impl Iterator<Item = &'a [u8]>) -> Result<Self, OptionError> {
        let mut options = Self { pattern: b"*", count: 10, nothing: false };
        while let Some(word) = words.next() {
            let value = words.next().ok_or(OptionError::Syntax)?;
            if word.eq_ignore_ascii_case(b"MATCH") {
                options.pattern = value;
            } else if word.eq_ignore_ascii_case(b"COUNT") {
                let count = integer(value)?;
                let count = usize::try_from(count).ok().filter(|&count| count > 0);
                options.count = count.ok_or(OptionError::Syntax)?.min(MOST_LOOKED_AT);
            } else if word.eq_ignore_ascii_case(b"TYPE") {
                options.nothing = !value.eq_ignore_ascii_case(b"string");
            } else {
                return Err(OptionError::Syntax);
            }
        }
        Ok(options)
    }
}

impl StoreService {
    /// `SCAN cursor [MATCH pattern] [COUNT n] [TYPE t]`.
    pub(super) fn scan(&mut self, session: &RedisSession, words: Words<'_>, out: &mut Encoder<'_>) {
        let options = match ScanOptions::parse(words.from(2)) {
            Ok(options) => options,
            Err(error) => return out.error(&error.to_string()),
        };
        let cursor = std::str::from_utf8(words.at(1)).ok().and_then(|word| word.parse().ok());
        let after = match cursor {
            None => return out.error("ERR invalid cursor"),
            Some(0) => None,
            Some(cursor) => match self.cursors().key(cursor) {
                Some(key) => Some(key.to_vec()),
                None => return out.error("ERR unknown cursor: it is too old; begin again at 0"),
            },
        };
        let page = PageOf {
            space: session.db.keys(),
            prefix: glob::literal_prefix(options.pattern).to_vec(),
            after,
            hidden: true,
            limit: options.count,
        };
        let Some(rows) = self.engine.page(&page) else {
            return out.error("ERR the server stops");
        };
        let (mut keys, mut found, mut last, mut full) = (Vec::new(), 0, None, false);
        for (key, _) in rows.iter() {
            full = keys.len() > self.common.limits.output_bytes;
            if full {
                break;
            }
            last = Some(key);
            if !options.nothing && glob::matches(options.pattern, key) {
                found += 1;
                Encoder::new(&mut keys, out.version()).bulk(key);
            }
        }
        let next = match last {
            Some(last) if rows.more || full => self.cursors().give(last),
            _ => 0,
        };
        out.array(2);
        out.bulk(next.to_string().as_bytes());
        out.array(found);
        out.raw().extend_from_slice(&keys);
    }

    /// `EXPIRE` and its family with a condition, and `PERSIST`.
    pub(super) fn expire_if(
        &mut self,
        space: Space,
        name: Name,
        words: Words<'_>,
        out: &mut Encoder<'_>,
    ) {
        let key = words.at(1);
        let Reply::Value { expiry: current } = self.execute_one(Op::get(space, key)) else {
            return out.integer(0);
        };
        let op = if name == Name::Persist {
            (current != 0).then_some(Op::Expire { space, key, expiry: Expiry::Never })
        } else {
            let at = expire_deadline(name, words, self.now);
            let options = ExpireOptions::parse(words.from(3));
            match (at, options) {
                (Err(error), _) | (_, Err(error)) => return out.error(&error.to_string()),
                (Ok(at), Ok(options)) if !options.hold(current, at) => None,
                (Ok(at), _) if at <= self.now => Some(Op::delete(space, key)),
                (Ok(at), _) => Some(Op::Expire { space, key, expiry: Expiry::At(at) }),
            }
        };
        match op.map(|op| self.execute_one(op)) {
            Some(Reply::Failed(error)) => write_error(out, error),
            Some(reply) => out.integer(i64::from(reply == Reply::Done)),
            None => out.integer(0),
        }
    }
}
