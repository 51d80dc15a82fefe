//! Engines made ready before a run.

use std::collections::HashMap;
use std::sync::Arc;

use pfs_token::{VocabError, Vocabulary};
use thiserror::Error;

use super::EngineOp;
use super::token::TokenEngine;
use crate::pcpu::{Engine, Program};

/// An engine op that cannot be made ready.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpError {
    /// The vocabulary cannot be had.
    #[error("{op}: {source}")]
    Vocabulary {
        /// The op as it is written.
        op: String,
        /// Why.
        source: VocabError,
    },
}

/// What the engine ops of all programs share: read once, used by every worker.
#[derive(Debug, Default)]
pub struct Engines {
    vocabularies: HashMap<String, Arc<Vocabulary>>,
}

impl Engines {
    /// Reads what the engine ops of `programs` need.
    ///
    /// # Errors
    /// [`OpError`], with the op.
    pub fn load<'a>(programs: impl IntoIterator<Item = &'a Program>) -> Result<Self, OpError> {
        let mut engines = Self::default();
        for program in programs {
            for op in program.engines() {
                engines.add(op)?;
            }
        }
        Ok(engines)
    }

    fn add(&mut self, op: &EngineOp) -> Result<(), OpError> {
        match op {
            EngineOp::Token(token) => {
                if !self.vocabularies.contains_key(&token.vocab) {
                    let opened = Vocabulary::open(&token.vocab)
                        .map_err(|source| OpError::Vocabulary { op: op.to_string(), source })?;
                    self.vocabularies.insert(token.vocab.clone(), Arc::new(opened));
                }
            }
        }
        Ok(())
    }

    /// One worker's engines for `program`, in its order.
    ///
    /// # Panics
    /// When `program` is none of those that they were loaded for.
    #[must_use]
    pub fn make(&self, program: &Program) -> Vec<Box<dyn Engine>> {
        let engine = |op: &EngineOp| -> Box<dyn Engine> {
            match op {
                EngineOp::Token(token) => {
                    let vocabulary = self.vocabularies.get(&token.vocab);
                    let vocabulary = Arc::clone(vocabulary.expect("loaded for this program"));
                    Box::new(TokenEngine::new(token, vocabulary))
                }
            }
        };
        program.engines().map(engine).collect()
    }
}
