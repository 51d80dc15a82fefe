//! From a line to a command.

use super::{Command, GrammarError, Limit, Mode, Operand, Page};

/// Most branches that a summary's reply can have when it has a limit.
const MAX_BRANCHES: u32 = 1024;
/// Absolute keys have 48 bits.
const ABS_END: u64 = 1 << 48;

/// Reads one line, without its LF. `None`: the line is blank and gets no reply.
///
/// # Errors
/// [`GrammarError`], whose text is the reply behind `ERROR,`.
pub fn parse(line: &[u8]) -> Result<Option<Command<'_>>, GrammarError> {
    let trimmed = line.trim_ascii();
    if trimmed.is_empty() {
        return Ok(None);
    }
    let (verb, rest) = split(trimmed);
    // Long enough for the longest verb with a size.
    let mut upper = [0; 32];
    let Some(upper) = upper.get_mut(..verb.len()) else {
        return Err(unknown(verb));
    };
    upper.copy_from_slice(verb);
    upper.make_ascii_uppercase();
    let command = match &*upper {
        b"PAIR_SET" => pair_set(rest, false),
        b"PAIR_GET" => Ok(Command::PairGet { key: pair_key(rest)? }),
        b"READ" => Ok(Command::Read { abs: abs_key(rest)? }),
        b"PAIR_SCAN" => pair_scan(rest),
        b"PAIR_SET_HIDDEN" => pair_set(rest, true),
        b"PAIR_DEL" => Ok(Command::PairDel { key: pair_key(rest)? }),
        b"DELETE" => Ok(Command::Delete { abs: abs_key(rest)? }),
        b"PAIR_REDUCE" => pair_reduce(rest, false),
        b"PAIR_REDUCE_ASYNC" => pair_reduce(rest, true),
        b"PAIR_REDUCE_STATUS" => Ok(Command::ReduceStatus { job: job(rest)? }),
        b"PAIR_REDUCE_FETCH" => Ok(Command::ReduceFetch { job: job(rest)? }),
        b"PAIR_REDUCE_CANCEL" => Ok(Command::ReduceCancel { job: job(rest)? }),
        b"PAIR_SUMMARY" => pair_summary(rest),
        b"PAIR_PURGE" => pair_purge(rest),
        b"DATABASE" => database(rest),
        b"RESET_DB" => reset_db(rest),
        b"SYSTEM_STATS" => Ok(Command::SystemStats),
        b"LOG_FLUSH" => log_flush(rest),
        b"FILE_CHECKPOINT" => file_checkpoint(rest),
        b"RECYCLE" => recycle(rest),
        b"POST" | b"PUT" | b"HOST:" => Err(GrammarError::Http),
        b"AUTH" if rest.is_empty() => Err(GrammarError::MissingPassword),
        b"AUTH" => Ok(Command::Auth { password: rest }),
        _ => sized(upper, line, rest),
    };
    command.map(Some)
}

/// The verbs that may carry a size (`INSERT:5`), and what is left.
fn sized<'a>(upper: &[u8], line: &'a [u8], rest: &'a [u8]) -> Result<Command<'a>, GrammarError> {
    let (name, size) = match upper.iter().position(|&byte| byte == b':') {
        Some(colon) => (&upper[..colon], Some(&upper[colon + 1..])),
        None => (upper, None),
    };
    let size = match (name, size) {
        (b"INSERT" | b"EDIT", Some(digits)) => {
            Some(number(digits).ok_or(GrammarError::InvalidSizeInCommand)?)
        }
        _ => None,
    };
    match name {
        b"INSERT" if rest.is_empty() => Err(GrammarError::MissingValue),
        b"INSERT" => Ok(Command::Insert { payload: of_size(rest, untrimmed(line, rest), size)? }),
        b"EDIT" => edit(line, rest, size),
        _ => Err(unknown(upper)),
    }
}

fn edit<'a>(
    line: &'a [u8],
    rest: &'a [u8],
    size: Option<u64>,
) -> Result<Command<'a>, GrammarError> {
    if rest.is_empty() {
        return Err(GrammarError::MissingArguments);
    }
    let (abs, payload) = split(rest);
    if payload.is_empty() {
        return Err(GrammarError::EditRequiresKeyAndValue);
    }
    let abs = number(abs).ok_or(GrammarError::InvalidKeyFormat)?;
    Ok(Command::Edit { abs, payload: of_size(payload, untrimmed(line, payload), size)? })
}

/// The payload when it has the size that the client declared. Blanks at its ends count when the size
/// says so; lines without a size are trimmed.
fn of_size<'a>(
    trimmed: &'a [u8],
    whole: &'a [u8],
    size: Option<u64>,
) -> Result<&'a [u8], GrammarError> {
    let got = trimmed.len() as u64;
    match size {
        None => Ok(trimmed),
        Some(expected) if expected == got => Ok(trimmed),
        Some(expected) if expected == whole.len() as u64 => Ok(whole),
        Some(expected) => Err(GrammarError::ValueSizeMismatch { expected, got }),
    }
}

/// `part`, which ends where the trimmed `line` ends and follows a blank, with the blanks that were
/// trimmed behind it, and those before it but the one that parts it from the word before.
fn untrimmed<'a>(line: &'a [u8], part: &'a [u8]) -> &'a [u8] {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let behind = line.trim_ascii_end().len();
    let Some(mut from) = behind.checked_sub(part.len()) else { return part };
    while from >= 2 && line[from - 1].is_ascii_whitespace() && line[from - 2].is_ascii_whitespace()
    {
        from -= 1;
    }
    &line[from..]
}

fn pair_set(rest: &[u8], hidden: bool) -> Result<Command<'_>, GrammarError> {
    let (key, abs) = split(rest);
    if key.is_empty() || abs.is_empty() {
        return Err(GrammarError::PairSetRequiresValueAndKey);
    }
    let key = Operand::parse(key)?;
    let abs =
        number(abs).filter(|&abs| abs < ABS_END).ok_or(GrammarError::InvalidAbsoluteKeyFormat)?;
    Ok(Command::PairSet { key, abs, hidden })
}

fn pair_key(rest: &[u8]) -> Result<Operand<'_>, GrammarError> {
    match Operand::parse(rest)? {
        key if key.is_empty() => Err(GrammarError::PairValueCannotBeEmpty),
        key => Ok(key),
    }
}

fn pair_scan(rest: &[u8]) -> Result<Command<'_>, GrammarError> {
    let (prefix, rest) = split(rest);
    if prefix.is_empty() {
        return Err(GrammarError::PairScanRequiresPrefix);
    }
    Ok(Command::PairScan(page(prefix, rest)?.page))
}

fn pair_reduce(rest: &[u8], job: bool) -> Result<Command<'_>, GrammarError> {
    if rest.is_empty() {
        return Err(GrammarError::PairReduceRequiresArgs);
    }
    let (name, rest) = split(rest);
    let (prefix, rest) = split(rest);
    if prefix.is_empty() {
        return Err(GrammarError::PairReduceRequiresModeAndPrefix);
    }
    let mode = Mode::named(name).ok_or(GrammarError::UnknownReducerMode)?;
    let PageOptions { page, rows, top } = page(prefix, rest)?;
    Ok(Command::PairReduce { mode, name, page, rows, top, job })
}

/// A page, and what else may stand among its arguments.
struct PageOptions<'a> {
    page: Page<'a>,
    rows: bool,
    top: u32,
}

/// A page from its arguments: `[limit] [cursor]` by place, or by name in any order.
fn page<'a>(prefix: &'a [u8], rest: &'a [u8]) -> Result<PageOptions<'a>, GrammarError> {
    let limit = Limit::Rows(Limit::DEFAULT);
    let prefix = Operand::parse_starred(prefix)?;
    let mut page = Page { prefix, limit, cursor: None, hidden: false };
    let (mut rows, mut top) = (true, 32);
    let mut place = 0;
    let mut fields = fields(rest);
    while let Some(field) = fields.next() {
        match named(field) {
            Some((b"limit", value)) => page.limit = limit_of(value)?,
            Some((b"cursor", value)) => page.cursor = cursor_of(value)?,
            Some((b"include_hidden", value)) => page.hidden = flag(field, value)?,
            Some((b"rows", value)) => rows = flag(field, value)?,
            Some((b"top", value)) => {
                let value = number(value).ok_or(GrammarError::InvalidLimit)?;
                top = value.min(u64::from(Limit::MAX)) as u32;
            }
            _ if field.eq_ignore_ascii_case(b"CURSOR") && place < 2 => {
                page.cursor = cursor_of(fields.next().unwrap_or(b"*"))?;
                place = 2;
            }
            _ => {
                match place {
                    0 => page.limit = limit_of(field)?,
                    1 => page.cursor = cursor_of(field)?,
                    _ => return Err(unknown_argument(field)),
                }
                place += 1;
            }
        }
    }
    Ok(PageOptions { page, rows, top })
}

fn limit_of(value: &[u8]) -> Result<Limit, GrammarError> {
    signed(value).map(Limit::of).ok_or(GrammarError::InvalidLimit)
}

fn cursor_of(value: &[u8]) -> Result<Option<Operand<'_>>, GrammarError> {
    if value == b"*" || value.is_empty() { Ok(None) } else { Operand::parse(value).map(Some) }
}

fn flag(field: &[u8], value: &[u8]) -> Result<bool, GrammarError> {
    match value {
        b"1" | b"true" => Ok(true),
        b"0" | b"false" => Ok(false),
        _ => Err(unknown_argument(field)),
    }
}

fn pair_summary(rest: &[u8]) -> Result<Command<'_>, GrammarError> {
    let mut fields = fields(rest);
    let prefix = fields.next().ok_or(GrammarError::PairSummaryRequiresPrefix)?;
    let prefix = Operand::parse_starred(prefix)?;
    let depth = match fields.next() {
        None => Some(1),
        Some(field) => match signed(field).ok_or(GrammarError::InvalidDepth)? {
            -1 => None,
            depth => Some(u32::try_from(depth).map_err(|_| GrammarError::InvalidDepth)?),
        },
    };
    let branches = match fields.next() {
        None => Some(32),
        Some(field) => match signed(field).filter(|&limit| limit >= 0) {
            None => return Err(GrammarError::InvalidBranchLimit),
            Some(0) => None,
            Some(limit) => Some(limit.min(i64::from(MAX_BRANCHES)) as u32),
        },
    };
    match fields.next() {
        Some(field) => Err(unknown_argument(field)),
        None => Ok(Command::PairSummary { prefix, depth, branches }),
    }
}

fn pair_purge(rest: &[u8]) -> Result<Command<'_>, GrammarError> {
    let mut fields = fields(rest);
    let prefix = fields.next().ok_or(GrammarError::PairPurgeRequiresPrefix)?;
    let prefix = Operand::parse_starred(prefix)?;
    let page = match fields.next().map(limit_of).transpose()? {
        Some(Limit::Rows(rows)) => rows,
        Some(Limit::All) | None => Limit::MAX,
    };
    match fields.next() {
        Some(field) => Err(unknown_argument(field)),
        None => Ok(Command::PairPurge { prefix, page }),
    }
}

fn database(rest: &[u8]) -> Result<Command<'_>, GrammarError> {
    let mut fields = fields(rest);
    let name = fields.next().ok_or(GrammarError::MissingDatabaseName)?;
    let name = std::str::from_utf8(name).map_err(|_| GrammarError::InvalidDatabaseName)?;
    fields.try_for_each(check_override)?;
    Ok(Command::Database { name })
}

fn reset_db(rest: &[u8]) -> Result<Command<'_>, GrammarError> {
    let mut name = None;
    for (index, field) in fields(rest).enumerate() {
        if index == 0 && !field.contains(&b'=') {
            let text = std::str::from_utf8(field).map_err(|_| GrammarError::InvalidDatabaseName)?;
            name = Some(text);
        } else {
            check_override(field)?;
        }
    }
    Ok(Command::ResetDb { name })
}

/// Settings of the original's tables and caches: checked as it checked them, without effect here.
fn check_override(field: &[u8]) -> Result<(), GrammarError> {
    let Some((name, value)) = named(field) else {
        return Err(GrammarError::UnknownOverride(lossy(field)));
    };
    match name {
        b"pair_bytes" | b"pair_index_bytes" => match value {
            b"1" | b"2" => Ok(()),
            _ => Err(GrammarError::PairBytes),
        },
        b"payload_cache_entries" | b"payload_cache_mb" | b"payload_cache_bytes" => {
            match number(value) {
                Some(_) => Ok(()),
                None => Err(GrammarError::InvalidOverride(lossy(field))),
            }
        }
        _ => Err(GrammarError::UnknownOverride(lossy(name))),
    }
}

fn log_flush(rest: &[u8]) -> Result<Command<'_>, GrammarError> {
    if rest.is_empty() {
        return Ok(Command::LogFlush { limit: None });
    }
    match signed(rest) {
        Some(limit) if limit <= 0 => Ok(Command::LogFlush { limit: None }),
        Some(limit) => {
            Ok(Command::LogFlush { limit: Some(u32::try_from(limit).unwrap_or(u32::MAX)) })
        }
        None => Err(GrammarError::InvalidLimit),
    }
}

/// `IDLE=<duration>`, `DROP_CACHE` and `CLOSE_HANDLES` are about files that this store does not have.
fn file_checkpoint(rest: &[u8]) -> Result<Command<'_>, GrammarError> {
    for field in fields(rest) {
        let known = field.get(..5).is_some_and(|name| name.eq_ignore_ascii_case(b"IDLE="))
            || field.eq_ignore_ascii_case(b"DROP_CACHE")
            || field.eq_ignore_ascii_case(b"CLOSE_HANDLES");
        if !known {
            return Err(unknown_argument(field));
        }
    }
    Ok(Command::FileCheckpoint)
}

fn recycle(rest: &[u8]) -> Result<Command<'_>, GrammarError> {
    if rest.is_empty() {
        return Err(GrammarError::MissingSize);
    }
    let size = number(rest).filter(|&size| size > 0).ok_or(GrammarError::InvalidSize)?;
    Ok(Command::Recycle { size })
}

fn abs_key(rest: &[u8]) -> Result<u64, GrammarError> {
    if rest.is_empty() {
        return Err(GrammarError::MissingKey);
    }
    number(rest).ok_or(GrammarError::InvalidKeyFormat)
}

fn job(rest: &[u8]) -> Result<&[u8], GrammarError> {
    if rest.is_empty() { Err(GrammarError::MissingJobId) } else { Ok(rest) }
}

/// What a verb that is not served is answered with.
fn unknown(verb: &[u8]) -> GrammarError {
    let is =
        |prefix: &[u8]| verb.get(..prefix.len()).is_some_and(|v| v.eq_ignore_ascii_case(prefix));
    if is(b"PREDICT_") || is(b"CLUSTER_") || verb.eq_ignore_ascii_case(b"FORK_ASSIGN") {
        GrammarError::NotAvailable(lossy(verb).to_ascii_uppercase())
    } else {
        GrammarError::UnknownCommand
    }
}

fn unknown_argument(field: &[u8]) -> GrammarError {
    GrammarError::UnknownArgument(lossy(field))
}

/// At most 64 bytes of what a client wrote, to show it.
fn lossy(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(64)].escape_ascii().to_string()
}

/// The first word, and the rest without the blanks between.
fn split(text: &[u8]) -> (&[u8], &[u8]) {
    match text.iter().position(u8::is_ascii_whitespace) {
        Some(blank) => (&text[..blank], text[blank..].trim_ascii_start()),
        None => (text, b""),
    }
}

fn fields(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty())
}

fn named(field: &[u8]) -> Option<(&[u8], &[u8])> {
    let equals = field.iter().position(|&byte| byte == b'=')?;
    Some((&field[..equals], &field[equals + 1..]))
}

/// Digits alone: no sign.
fn number(digits: &[u8]) -> Option<u64> {
    digits.first()?;
    digits.iter().try_fold(0_u64, |number, &digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

fn signed(digits: &[u8]) -> Option<i64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}
