//! What a pattern asks of the text of the nodes that it caught.

use std::collections::HashSet;

use regex::bytes::Regex;

use super::error::Wrong;

/// An argument of a predicate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Argument {
    /// All nodes caught by this name, by its number.
    Capture(u16),
    /// A text.
    Text(Box<str>),
}

/// A predicate that is not about text: `#set!`, `#is?`, or one that only its user knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// Its name, with `!` or `?`.
    pub name: Box<str>,
    /// Its arguments.
    pub arguments: Vec<Argument>,
}

/// A predicate.
#[derive(Debug)]
pub(super) enum Predicate {
    Text(Test),
    Other(Directive),
}

/// A test of texts.
#[derive(Debug)]
pub(super) struct Test {
    capture: u16,
    what: What,
    /// The texts shall be so, rather than not be so.
    positive: bool,
    /// Of all nodes that were caught, rather than of one.
    all: bool,
}

#[derive(Debug)]
enum What {
    Capture(u16),
    Text(Box<str>),
    Match(Regex),
    OneOf(HashSet<Box<[u8]>, foldhash::fast::RandomState>),
}

impl Predicate {
    pub(super) fn new(name: Box<str>, arguments: Vec<Argument>) -> Result<Self, Wrong> {
        let (all, rest) = match name.strip_prefix("any-") {
            Some(rest) if rest != "of?" => (false, rest),
            _ => (true, &*name),
        };
        let (positive, plain) = match rest.strip_prefix("not-") {
            Some(plain) => (false, plain),
            None => (true, rest),
        };
        let wrong = |why: &str| Wrong::Predicate { name: name.clone(), why: why.into() };
        let what = match plain {
            "eq?" => match &arguments[..] {
                [_, Argument::Capture(other)] => What::Capture(*other),
                [_, Argument::Text(text)] => What::Text(text.clone()),
                _ => return Err(wrong("takes a capture, and a capture or a text")),
            },
            "match?" => match &arguments[..] {
                [_, Argument::Text(pattern)] => What::Match(
                    Regex::new(pattern)
                        .map_err(|error| wrong(&format!("has a wrong pattern: {error}")))?,
                ),
                _ => return Err(wrong("takes a capture and a regular expression")),
            },
            "any-of?" => What::OneOf(
                arguments
                    .get(1..)
                    .unwrap_or_default()
                    .iter()
                    .map(|argument| match argument {
                        Argument::Text(text) => Ok(text.as_bytes().into()),
                        Argument::Capture(_) => Err(wrong("takes a capture and texts")),
                    })
                    .collect::<Result<_, _>>()?,
            ),
            _ => return Ok(Self::Other(Directive { name, arguments })),
        };
        match arguments.first() {
            Some(Argument::Capture(capture)) => {
                Ok(Self::Text(Test { capture: *capture, what, positive, all }))
            }
            _ => Err(wrong("takes a capture first")),
        }
    }
}

impl Test {
    /// Whether it holds. `texts` gives the texts that a name caught, in order.
    pub(super) fn holds<'s, I: Iterator<Item = &'s [u8]>>(&self, texts: impl Fn(u16) -> I) -> bool {
        let mut mine = texts(self.capture);
        match &self.what {
            What::Capture(other) => {
                let mut others = texts(*other);
                loop {
                    match (mine.next(), others.next()) {
                        (Some(a), Some(b)) => {
                            if let Some(known) = self.one(a == b) {
                                return known;
                            }
                        }
                        (None, None) => return true,
                        _ => return false,
                    }
                }
            }
            What::Text(text) => self.each(mine, |it| it == text.as_bytes()),
            What::Match(pattern) => self.each(mine, |it| pattern.is_match(it)),
            What::OneOf(texts) => mine.all(|it| texts.contains(it) == self.positive),
        }
    }

    fn each<'s>(&self, texts: impl Iterator<Item = &'s [u8]>, is: impl Fn(&[u8]) -> bool) -> bool {
        // Of no node at all it holds.
        texts.map(is).find_map(|is| self.one(is)).unwrap_or(true)
    }

    /// What one text tells of all.
    fn one(&self, is: bool) -> Option<bool> {
        match (is == self.positive, self.all) {
            (false, true) => Some(false),
            (true, false) => Some(true),
            _ => None,
        }
    }
}
