//! Why bytes are not what a format says.

use thiserror::Error;

/// Bytes that a format does not allow, and where they are.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{format}, byte {at}: {fault}")]
pub struct FormatError {
    /// The format.
    pub format: &'static str,
    /// Offset of what is wrong from the begin of the input.
    pub at: u64,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with the bytes at a place.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// The input ends too early.
    #[error("{need} bytes are needed, {have} are left: the input is cut off")]
    Truncated {
        /// Bytes that must follow.
        need: u64,
        /// Bytes that do.
        have: u64,
    },
    /// The input goes on after its end.
    #[error("{0} bytes follow after the end")]
    Trailing(u64),
    /// The first bytes are of something else.
    #[error("not of this format")]
    Magic,
    /// A version that this build does not read.
    #[error("version {0} is not known; a newer pfs may read it")]
    Version(u32),
    /// A number beyond its range.
    #[error("{what} is {value}, at most {most} is possible")]
    TooMuch {
        /// What the number is.
        what: &'static str,
        /// It.
        value: u64,
        /// The end of its range.
        most: u64,
    },
    /// Two numbers that must agree do not.
    #[error("{what} is {value}, {want} was to be")]
    Differs {
        /// What the number is.
        what: &'static str,
        /// It.
        value: u64,
        /// What it was to be.
        want: u64,
    },
    /// A check sum that does not match: the input was damaged.
    #[error("check sum of {0} does not match: the input is damaged")]
    Checksum(&'static str),
    /// A value that means nothing.
    #[error("{what} {value} means nothing")]
    Unknown {
        /// What it was to be.
        what: &'static str,
        /// The value.
        value: u64,
    },
    /// What cannot be decoded by its nature.
    #[error("{0}")]
    Undecodable(&'static str),
    /// Text that is no JSON, or JSON of another shape.
    #[error("{0}")]
    Json(String),
}

impl FormatError {
    /// `fault` at `at` of a `format`.
    #[must_use]
    pub(crate) const fn new(format: &'static str, at: u64, fault: Fault) -> Self {
        Self { format, at, fault }
    }
}

/// A program that a format has no way to write.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unwritable {
    /// A number beyond what the format's field holds.
    #[error("{format}: {what} is {value}, the format holds at most {most}")]
    TooMuch {
        /// The format.
        format: &'static str,
        /// What the number is.
        what: &'static str,
        /// It.
        value: u64,
        /// The most that can be written.
        most: u64,
    },
    /// Something that the format has no field for.
    #[error("{format}: {what}")]
    NoPlace {
        /// The format.
        format: &'static str,
        /// What has no place in it, and what to do.
        what: &'static str,
    },
}
