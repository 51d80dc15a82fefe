//! Grammars: which there are, which one a file is for, what identifies one, and the symbols that
//! its nodes are.

mod builtin;
mod code;
mod detect;
mod grammar;
mod habits;
mod published;
mod registry;
mod symbol;
mod table;
mod trained;

pub(crate) use code::Code;
pub use grammar::{Grammar, Identity, KIND_ERROR};
pub use habits::Habits;
pub(crate) use habits::Learner;
pub use published::{published_queries, published_query};
pub use registry::Registry;
pub use symbol::{Flags, Symbol, SymbolId};
pub use table::{SYMBOLS_MAX, SymbolTable};
pub use trained::Trained;
