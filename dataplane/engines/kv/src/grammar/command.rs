//! Commands, typed.

use super::Operand;

/// A command of one line; bytes lie in the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// `INSERT`: a new value under the next absolute key.
    Insert {
        /// The value; not empty.
        payload: &'a [u8],
    },
    /// `READ`: a value.
    Read {
        /// Its absolute key.
        abs: u64,
    },
    /// `EDIT`: another value under the same absolute key.
    Edit {
        /// The absolute key.
        abs: u64,
        /// The value; not empty.
        payload: &'a [u8],
    },
    /// `DELETE`: a value and its absolute key, for good.
    Delete {
        /// The absolute key.
        abs: u64,
    },
    /// `PAIR_SET` and `PAIR_SET_HIDDEN`.
    PairSet {
        /// The pair's key; not empty.
        key: Operand<'a>,
        /// The absolute key it stands for, below 2^48.
        abs: u64,
        /// Whether scans pass it over.
        hidden: bool,
    },
    /// `PAIR_GET`.
    PairGet {
        /// The pair's key; not empty.
        key: Operand<'a>,
    },
    /// `PAIR_DEL`.
    PairDel {
        /// The pair's key; not empty.
        key: Operand<'a>,
    },
    /// `PAIR_SCAN`.
    PairScan(Page<'a>),
    /// `PAIR_REDUCE` and `PAIR_REDUCE_ASYNC`.
    PairReduce {
        /// What is made of the rows.
        mode: Mode,
        /// The mode's name, as the client wrote it: replies repeat it.
        name: &'a [u8],
        /// The rows.
        page: Page<'a>,
        /// Whether the rows themselves are in the reply (`rows=0` leaves them out).
        rows: bool,
        /// Tokens that are shown, those with the greatest sums; at most 4096 (`top=`).
        top: u32,
        /// Whether it runs as a job.
        job: bool,
    },
    /// `PAIR_REDUCE_STATUS`.
    ReduceStatus {
        /// The job's name.
        job: &'a [u8],
    },
    /// `PAIR_REDUCE_FETCH`.
    ReduceFetch {
        /// The job's name.
        job: &'a [u8],
    },
    /// `PAIR_REDUCE_CANCEL`.
    ReduceCancel {
        /// The job's name.
        job: &'a [u8],
    },
    /// `PAIR_SUMMARY`.
    PairSummary {
        /// What the keys begin with.
        prefix: Operand<'a>,
        /// Bytes behind the prefix that tell branches apart; `None`: all.
        depth: Option<u32>,
        /// Branches in the reply; `None`: all.
        branches: Option<u32>,
    },
    /// `PAIR_PURGE`.
    PairPurge {
        /// What the keys begin with.
        prefix: Operand<'a>,
        /// Pairs that go in one batch, 1 to 4096.
        page: u32,
    },
    /// `DATABASE`: the connection's database from here on.
    Database {
        /// Its name, not yet validated.
        name: &'a str,
    },
    /// `RESET_DB`: an empty database under the same name.
    ResetDb {
        /// Its name, not yet validated; `None`: the connection's.
        name: Option<&'a str>,
    },
    /// `SYSTEM_STATS`.
    SystemStats,
    /// `LOG_FLUSH`: the latest messages.
    LogFlush {
        /// How many of them; `None`: all that are kept.
        limit: Option<u32>,
    },
    /// `FILE_CHECKPOINT`: everything acknowledged is on disk when the reply comes.
    FileCheckpoint,
    /// `RECYCLE`: what deleted values of one size hold.
    Recycle {
        /// The size in bytes.
        size: u64,
    },
    /// `AUTH`.
    Auth {
        /// The password.
        password: &'a [u8],
    },
}

/// Which rows of a namespace, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<'a> {
    /// What the keys begin with.
    pub prefix: Operand<'a>,
    /// How many.
    pub limit: Limit,
    /// The key behind which they begin; `None`: from the first.
    pub cursor: Option<Operand<'a>>,
    /// Whether hidden pairs are among them.
    pub hidden: bool,
}

/// How many rows a page has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// At most so many, 1 to 4096.
    Rows(u32),
    /// All; the reply's own limit of bytes holds.
    All,
}

impl Limit {
    /// Rows of a page when the client names no limit.
    pub const DEFAULT: u32 = 256;
    /// Most rows that a limit can ask for.
    pub const MAX: u32 = 4096;

    /// As a client writes it: 0 or negative is all, and 4096 the most.
    pub(super) fn of(number: i64) -> Self {
        match u32::try_from(number) {
            Ok(0) => Self::All,
            Ok(rows) => Self::Rows(rows.min(Self::MAX)),
            Err(_) if number < 0 => Self::All,
            Err(_) => Self::Rows(Self::MAX),
        }
    }
}

/// What a reduction makes of its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing: the rows as they are.
    Raw,
    /// Follower counts, added up by token.
    Counts,
    /// Quantized probabilities and back-offs by token.
    Probabilities,
    /// Continuation contexts by token.
    Continuations,
}

impl Mode {
    /// The mode that `name` names, in any case.
    #[must_use]
    pub fn named(name: &[u8]) -> Option<Self> {
        const NAMES: [(&str, Mode); 8] = [
            ("raw", Mode::Raw),
            ("count", Mode::Counts),
            ("counts", Mode::Counts),
            ("probabilities", Mode::Probabilities),
            ("probs", Mode::Probabilities),
            ("backoffs", Mode::Probabilities),
            ("continuation", Mode::Continuations),
            ("continuations", Mode::Continuations),
        ];
        let found = NAMES.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name));
        found.map(|&(_, mode)| mode)
    }
}
