//! Concrete syntax trees of source code in a fraction of their memory, lossless.
//!
//! # The way of a source
//!
//! ```text
//! bytes ─► Registry: which grammar ─► Parser (tree-sitter) ─► live tree, some 100 B a node
//!                                                                │ one walk
//!                                            Flat: columns ◄─────┘
//!                                              │      ▲
//!              HotTree: 2.1 B a node ◄─────────┤      │ thaw
//!              read and moved in as it lies    │      │
//!                                              └─► ColdFile: 0.2 to 0.7 B a node, on disk,
//!                                                  mapped, one node costs one block
//! ```
//!
//! What a node is, its kind, its field in its parent and its flags, is one [`languages::Symbol`]; a
//! grammar's trees use some hundred of them, numbered once for all trees ([`languages::SymbolTable`]).
//! The shape is balanced parentheses. Positions are those of leaves; an inner node spans its leaves
//! but for the few that say otherwise, and a leaf of quoted text is as long as its kind's name but
//! for those that say otherwise ([`languages::Flags::MEASURED`]).
//!
//! Everything that tree-sitter tells of a visible node is kept: kind, named, extra, missing, error,
//! has-error, field, bytes, rows and columns, order and nesting. Not kept: hidden nodes, so that
//! lookups by byte differ where a hidden node is empty; the grammar's name behind an alias; parse
//! states.
//!
//! # Example
//!
//! ```
//! # #[cfg(feature = "rust")] {
//! use std::path::Path;
//!
//! use pfs_cst::hot::HotTree;
//! use pfs_cst::languages::Registry;
//! use pfs_cst::parse::{Limits, Parser};
//!
//! let source = b"fn answer() -> u8 { 42 }";
//! let grammar = Registry::shared().detect(Path::new("lib.rs"), source).ok_or("no grammar")?;
//! let tree = Parser::new(&grammar)?.parse(source, None, Limits::default())?;
//! let hot = HotTree::new(&grammar, &tree, source)?;
//! let function = hot.root().first_child().ok_or("no item")?;
//! let name = function.child_by_field_name("name").ok_or("no name")?;
//! assert_eq!((function.kind(), name.text(source)), ("function_item", &b"answer"[..]));
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Limits
//!
//! Sources have at most 2 GiB, trees 2^30 nodes. Nothing recurses: nesting of any depth is held.
//! Formats, and what was measured: `docs/CST.md`.

pub mod bytecode;
pub mod cold;
pub mod delta;
pub mod digest;
pub mod flat;
#[doc(hidden)]
pub mod fuzzing;
pub mod hot;
mod items;
pub mod languages;
pub mod parse;
pub mod phases;
pub mod query;
mod supertypes;
pub mod tiers;
mod varint;
pub mod walk;
