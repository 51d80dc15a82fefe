//! The line grammar of cheetah-db: one command a line in, one line out.
//!
//! | command | reply |
//! |---|---|
//! | `INSERT[:n] <payload>` | `SUCCESS,key=<abs>` |
//! | `READ <abs>` | `SUCCESS,size=<n>,value=<n bytes>` |
//! | `EDIT[:n] <abs> <payload>` | `SUCCESS,key=<abs>_updated` |
//! | `DELETE <abs>` | `SUCCESS,key=<abs>_deleted` |
//! | `PAIR_SET <bytes> <abs>`, `PAIR_SET_HIDDEN` | `SUCCESS,pair_set`, `SUCCESS,pair_set_hidden` |
//! | `PAIR_GET <bytes>` | `SUCCESS,key=<abs>` |
//! | `PAIR_DEL <bytes>` | `SUCCESS,pair_deleted` |
//! | `PAIR_SCAN <prefix\|*> [limit] [cursor]` | `SUCCESS,count=<n>[,next_cursor=x<hex>][,items=<hex>:<abs>;…]` |
//! | `PAIR_REDUCE <mode> <prefix\|*> [limit] [cursor]` | `SUCCESS,reducer=<mode>,count=<n>…` |
//! | `PAIR_REDUCE_ASYNC …`, `_STATUS <job>`, `_FETCH <job>`, `_CANCEL <job>` | a job's number, state, result |
//! | `PAIR_SUMMARY <prefix\|*> [depth] [branch_limit]` | `SUCCESS,command=PAIR_SUMMARY,count=<n>,…` |
//! | `PAIR_PURGE <prefix\|*> [page]` | `SUCCESS,purged=<n>` |
//! | `DATABASE <name> [k=v…]`, `RESET_DB [name] [k=v…]` | `SUCCESS,database_changed_to_<name>`, `…_reset_to_<name>` |
//! | `SYSTEM_STATS`, `LOG_FLUSH [n]`, `FILE_CHECKPOINT`, `RECYCLE <size>`, `AUTH <password>` | `SUCCESS,…` |
//!
//! Lines end with LF or CRLF, are trimmed, and get no reply when blank. Verbs know no case. Bytes are
//! written as they are, or as `x` and hexadecimal digits; the single character `x` is itself. `*` is the
//! empty prefix, or no cursor. A limit is 256 when it is not given, at most 4096, and all rows when it
//! is 0 or negative.
//!
//! A reduction's rows follow its result; `rows=0` leaves them out, and `top=` says how many tokens are shown.
//!
//! Where the original's manual and code differ, the manual holds for `EDIT:<size>`, `RECYCLE`, limit 0 and
//! `CURSOR <token>`; the code, which clients read, for the texts of replies.

mod command;
mod error;
pub mod fuzzing;
mod lines;
mod operand;
mod parse;
mod reply;
#[cfg(test)]
mod tests;

pub use command::{Command, Limit, Mode, Page};
pub use error::GrammarError;
pub use lines::{LineTooLong, Lines};
pub use operand::Operand;
pub use parse::parse;
pub use reply::{ReplyLine, Rows};
