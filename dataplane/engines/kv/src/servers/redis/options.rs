//! Options of commands: how long a key lives, and under what condition it is written.

use crate::op::{Condition, Expiry};

/// What a client is told about a wrong argument; the texts are those of Redis.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::servers) enum OptionError {
    #[error("ERR syntax error")]
    Syntax,
    #[error("ERR value is not an integer or out of range")]
    NotANumber,
    #[error("ERR invalid expire time in '{0}' command")]
    Expiry(&'static str),
    #[error("ERR wrong number of arguments for '{0}' command")]
    Arity(&'static str),
    #[error("ERR decrement would overflow")]
    Decrement,
    #[error("ERR NX and XX, GT or LT options at the same time are not compatible")]
    Incompatible,
    #[error("ERR Unsupported option {0}")]
    Unsupported(String),
}

/// What `SET` is told behind its value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::servers) struct SetOptions {
    pub(in crate::servers) expiry: Expiry,
    pub(in crate::servers) condition: Condition,
    /// The old value is the answer.
    pub(in crate::servers) get: bool,
}

/// Unit of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::servers) enum Unit {
    Seconds,
    Milliseconds,
}

/// A decimal number with a sign or without, as Redis reads it: no blanks, no `+`, no leading zeros.
pub(in crate::servers) fn integer(word: &[u8]) -> Result<i64, OptionError> {
    let digits = word.strip_prefix(b"-").unwrap_or(word);
    let plain =
        digits.first().is_some_and(u8::is_ascii_digit) && (digits[0] != b'0' || word.len() == 1);
    let text = std::str::from_utf8(word).ok().filter(|_| plain);
    text.and_then(|text| text.parse().ok()).ok_or(OptionError::NotANumber)
}

/// Milliseconds since 1970 of `amount` units from `now` on (0: since 1970), for `command`. It may be in the
/// past, and is at least 1.
pub(in crate::servers) fn deadline(
    amount: i64,
    unit: Unit,
    now: u64,
    command: &'static str,
) -> Result<u64, OptionError> {
    let scale = if unit == Unit::Seconds { 1000 } else { 1 };
    let at = amount.checked_mul(scale).and_then(|ms| ms.checked_add_unsigned(now));
    Ok(at.ok_or(OptionError::Expiry(command))?.max(1) as u64)
}

/// As [`deadline`], for commands that take no time in the past.
pub(in crate::servers) fn lifetime(
    word: &[u8],
    unit: Unit,
    now: u64,
    command: &'static str,
) -> Result<Expiry, OptionError> {
    let amount = integer(word)?;
    if amount <= 0 {
        return Err(OptionError::Expiry(command));
    }
    deadline(amount, unit, now, command).map(Expiry::At)
}

impl SetOptions {
    /// Reads the words behind the value; `now` in milliseconds since 1970.
    pub(in crate::servers) fn parse<'a>(
        mut words: impl Iterator<Item = &'a [u8]>,
        now: u64,
    ) -> Result<Self, OptionError> {
        let mut options = Self::default();
        while let Some(word) = words.next() {
            let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
            let fresh = options.expiry == Expiry::Never;
            if is(b"NX") && options.condition == Condition::Always {
                options.condition = Condition::Absent;
            } else if is(b"XX") && options.condition == Condition::Always {
                options.condition = Condition::Present;
            } else if is(b"GET") && !options.get {
                options.get = true;
            } else if is(b"KEEPTTL") && fresh {
                options.expiry = Expiry::Keep;
            } else if let (Some((unit, since)), true) = (expiry_word(word, now), fresh) {
                let amount = words.next().ok_or(OptionError::Syntax)?;
                options.expiry = lifetime(amount, unit, since, "set")?;
            } else {
                return Err(OptionError::Syntax);
            }
        }
        Ok(options)
    }
}

/// Unit and begin of the time that follows `word`.
fn expiry_word(word: &[u8], now: u64) -> Option<(Unit, u64)> {
    let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
    match () {
        () if is(b"EX") => Some((Unit::Seconds, now)),
        () if is(b"PX") => Some((Unit::Milliseconds, now)),
        () if is(b"EXAT") => Some((Unit::Seconds, 0)),
        () if is(b"PXAT") => Some((Unit::Milliseconds, 0)),
        () => None,
    }
}

/// Under what condition `EXPIRE` sets a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::servers) struct ExpireOptions {
    absent: bool,
    present: bool,
    greater: bool,
    less: bool,
}

impl ExpireOptions {
    /// Reads the words behind the time.
    pub(in crate::servers) fn parse<'a>(
        words: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Self, OptionError> {
        let mut options = Self::default();
        for word in words {
            let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
            match () {
                () if is(b"NX") => options.absent = true,
                () if is(b"XX") => options.present = true,
                () if is(b"GT") => options.greater = true,
                () if is(b"LT") => options.less = true,
                () => {
                    let word = word[..word.len().min(64)].escape_ascii().to_string();
                    return Err(OptionError::Unsupported(word));
                }
            }
        }
        let Self { absent, present, greater, less } = options;
        if absent && (present || greater || less) || greater && less {
            return Err(OptionError::Incompatible);
        }
        Ok(options)
    }

    /// Whether the time of a key that expires at `current` (0: never) becomes `new`.
    pub(in crate::servers) fn hold(self, current: u64, new: u64) -> bool {
        // A key that never expires is later than any other.
        let later = if current == 0 { u64::MAX } else { current };
        !(self.absent && current != 0
            || self.present && current == 0
            || self.greater && new <= later
            || self.less && new >= later)
    }

    /// Whether there is no condition.
    pub(in crate::servers) fn is_empty(self) -> bool {
        self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(words: &str) -> Result<SetOptions, OptionError> {
        SetOptions::parse(words.split_whitespace().map(str::as_bytes), 1_000_000)
    }

    #[test]
    fn numbers() {
        assert_eq!(integer(b"-9223372036854775808"), Ok(i64::MIN));
        assert_eq!(integer(b"0"), Ok(0));
        for word in ["", "-", "+1", " 1", "1 ", "01", "-0", "1.0", "9223372036854775808", "a"] {
            assert_eq!(integer(word.as_bytes()), Err(OptionError::NotANumber), "{word}");
        }
    }

    #[test]
    fn options_of_set() {
        let expiring = |at| Ok(SetOptions { expiry: Expiry::At(at), ..SetOptions::default() });
        assert_eq!(set("EX 10"), expiring(1_010_000));
        assert_eq!(set("px 10"), expiring(1_000_010));
        assert_eq!(set("EXAT 10"), expiring(10_000));
        assert_eq!(set("PXAT 10"), expiring(10));
        let all = SetOptions { expiry: Expiry::Keep, condition: Condition::Absent, get: true };
        assert_eq!(set("nx GET KeepTtl"), Ok(all));
        for words in
            ["NX XX", "XX NX", "EX", "EX 1 PX 1", "EX 1 KEEPTTL", "KEEPTTL EX 1", "FOO", "GET GET"]
        {
            assert_eq!(set(words), Err(OptionError::Syntax), "{words}");
        }
        for words in ["EX 0", "EX -1", "PX 9223372036854775807", "EX 9223372036854775"] {
            assert_eq!(set(words), Err(OptionError::Expiry("set")), "{words}");
        }
        assert_eq!(set("EX a"), Err(OptionError::NotANumber));
    }

    #[test]
    fn conditions_of_expire() {
        let options =
            |words: &str| ExpireOptions::parse(words.split_whitespace().map(str::as_bytes));
        let holds = |words: &str, current, new| options(words).unwrap().hold(current, new);
        assert!(holds("", 0, 5) && holds("", 9, 5));
        assert!(holds("NX", 0, 5) && !holds("NX", 9, 5));
        assert!(!holds("XX", 0, 5) && holds("XX", 9, 5));
        assert!(!holds("GT", 0, 5) && !holds("GT", 5, 5) && holds("GT", 4, 5));
        assert!(holds("LT", 0, 5) && !holds("LT", 5, 5) && holds("LT", 6, 5));
        assert!(holds("XX LT", 6, 5) && !holds("XX LT", 0, 5));
        assert_eq!(options("NX GT"), Err(OptionError::Incompatible));
        assert_eq!(options("GT LT"), Err(OptionError::Incompatible));
        assert_eq!(options("A"), Err(OptionError::Unsupported("A".into())));
    }
}
