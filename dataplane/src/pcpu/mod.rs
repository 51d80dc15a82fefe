//! The pCPU: payload operations, their programs and kernels.
//!
//! A [`Program`] is text; [`optimize`] rewrites it and says why; [`Compiled`] runs it over
//! [`SpanBatch`]es with the kernels of an [`Isa`] and keeps R0..R3, the histogram and the cycles
//! of each step. Nothing on that way allocates.
//!
//! ```
//! use pfs_dataplane::pcpu::{Compiled, Isa, Program, SpanBatch};
//!
//! let program = Program::parse("crc32c,counteq:0x39")?;
//! let mut compiled = Compiled::new(&program, Isa::detect());
//! let mut message = *b"123456789";
//! compiled.run(&mut SpanBatch::of_messages(&mut [&mut message]));
//! assert_eq!(compiled.results().r[..2], [0xe306_9283, 1]);
//! # Ok::<(), pfs_dataplane::pcpu::ProgramError>(())
//! ```

mod batch;
mod engine;
mod exec;
mod isa;
mod kernels;
mod lower;
mod op;
mod optimizer;
mod pace;
mod program;
mod results;
#[cfg(test)]
mod tests;
mod turns;

pub use batch::{AHEAD, BATCH, SpanBatch};
pub use engine::{Engine, EngineBatch, EngineCells, EngineSpan, Outlet, SpanMeta};
pub use exec::{Compiled, EngineReport, Options, cycles};
pub use isa::Isa;
pub use kernels::oracle;
pub use op::{Basis, FNV_BASIS, FNV_BASIS_PACKETFS, OPS, Op, OpInfo, Scope};
pub use optimizer::{Optimized, Rewrite, Rule, optimize};
pub use program::{ACCUMULATORS, MAX_OPS, Program, ProgramError, ProgramErrorCause};
pub use results::{MergeError, Results, StepStats};
pub(crate) use turns::Turns;
