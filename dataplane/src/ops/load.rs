//! Engines made ready before a run.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use pfs_cst::languages::Registry;
use pfs_cst::tiers::{self, Config, Store};
use pfs_kv::{DurableError, SharedStore, StoreSettings};
use pfs_pvrt::wire::{FolderError, Transfers};
use pfs_token::{VocabError, Vocabulary};
use thiserror::Error;

use super::EngineOp;
use super::cst::{CstEngine, CstMode, CstOp};
use super::kv::{KvEngine, KvOp, RunStore};
use super::pvrt::{PvrtEngine, PvrtOp, SharedTransfers};
use super::token::TokenEngine;
use super::vec::{RunCollections, VecEngine, VecOp};
use crate::pcpu::{Engine, Program};
use crate::transmitters::replies::ReplySink;

/// Memory of a store that a program is only tried on.
const TRIAL_MEMORY: u64 = 64 << 20;

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
    /// The store cannot be opened.
    #[error("{op}: {source}")]
    Store {
        /// The op as it is written.
        op: String,
        /// Why.
        source: DurableError,
    },
    /// Two ops ask for one folder's store with different settings.
    #[error("{op} and {other} are one store: give them the same fsync, memory and shards")]
    TwoWays {
        /// The op as it is written.
        op: String,
        /// The other.
        other: String,
    },
    /// The folder's transfers cannot be taken up.
    #[error("{op}: {source}")]
    Folder {
        /// The op as it is written.
        op: String,
        /// Why.
        source: FolderError,
    },
    /// The collections cannot be opened.
    #[error("{op}: {source}{}", advice(.source))]
    Collections {
        /// The op as it is written.
        op: String,
        /// Why.
        source: pfs_vec::StoreError,
    },
    /// No transfers to take frames of.
    #[error(
        "{0} takes frames of transfers that its own process registers, and this one registers none: \
         write pvrt:DIR with a folder that describes some"
    )]
    NoTransfers(String),
    /// No grammar for a language.
    #[error("{op}: no grammar for {lang}; this build has {choices}")]
    Language {
        /// The op as it is written.
        op: String,
        /// The language asked for.
        lang: String,
        /// Those that there are.
        choices: String,
    },
    /// The collection of trees cannot be opened.
    #[error("{op}: {source}")]
    Trees {
        /// The op as it is written.
        op: String,
        /// Why.
        source: Box<tiers::StoreError>,
    },
}

const fn advice(error: &pfs_vec::StoreError) -> &'static str {
    match error {
        pfs_vec::StoreError::Missing(_) => ": pfs vec create FOLDER/NAME --dim N",
        _ => "",
    }
}

/// A store with what it was asked for.
#[derive(Debug)]
struct Opened {
    op: String,
    settings: StoreSettings,
    store: Arc<RunStore>,
}

/// What the engine ops of all programs share: read once, used by every worker.
#[derive(Debug, Default)]
pub struct Engines {
    vocabularies: HashMap<String, Arc<Vocabulary>>,
    stores: Vec<Opened>,
    /// By folder; without one those that this process registers.
    transfers: HashMap<Option<PathBuf>, Arc<SharedTransfers>>,
    /// Collections of syntax trees by folder.
    trees: HashMap<PathBuf, Arc<Store>>,
    /// By folder, with the first op that asked for it.
    collections: Vec<(VecOp, Arc<RunCollections>)>,
    /// Stores and transfers are in memory, collections in folders that go, whatever the ops say.
    trial: bool,
}

impl Engines {
    /// Reads what the engine ops of `programs` need, and opens their stores.
    ///
    /// # Errors
    /// [`OpError`], with the op.
    pub fn load<'a>(programs: impl IntoIterator<Item = &'a Program>) -> Result<Self, OpError> {
        Self::default().all(programs)
    }

    /// The same, where ops `pvrt` without a folder take frames of `transfers`.
    ///
    /// # Errors
    /// [`OpError`], with the op.
    pub fn load_with<'a>(
        programs: impl IntoIterator<Item = &'a Program>,
        transfers: Arc<Transfers>,
    ) -> Result<Self, OpError> {
        let mut this = Self::default();
        this.transfers.insert(None, Arc::new(SharedTransfers::new(transfers)));
        this.all(programs)
    }

    /// The same to try programs on: their stores are small ones in memory, no folder is touched.
    ///
    /// # Errors
    /// [`OpError`], with the op.
    pub fn trial<'a>(programs: impl IntoIterator<Item = &'a Program>) -> Result<Self, OpError> {
        Self { trial: true, ..Self::default() }.all(programs)
    }

    fn all<'a>(mut self, programs: impl IntoIterator<Item = &'a Program>) -> Result<Self, OpError> {
        let ops: Vec<&EngineOp> = programs.into_iter().flat_map(Program::engines).collect();
        let mut names: Vec<&str> = ops.iter().filter_map(|op| op.database()).collect();
        names.sort_unstable();
        names.dedup();
        for op in ops {
            match op {
                EngineOp::Token(token) => {
                    if !self.vocabularies.contains_key(&token.vocab) {
                        let opened = Vocabulary::open(&token.vocab)
                            .map_err(|source| OpError::Vocabulary { op: op.to_string(), source })?;
                        self.vocabularies.insert(token.vocab.clone(), Arc::new(opened));
                    }
                }
                EngineOp::Kv(kv) => self.open(kv, &names)?,
                EngineOp::Pvrt(pvrt) => self.take_up(pvrt)?,
                EngineOp::Cst(cst) => self.collect(cst)?,
                EngineOp::Vec(vec) => self.open_collections(vec)?,
            }
        }
        Ok(self)
    }

    /// Opens the store of `kv`, unless an op before it has the same.
    fn open(&mut self, kv: &KvOp, names: &[&str]) -> Result<(), OpError> {
        let (op, asked) = (kv.to_string(), kv.store());
        let same = |opened: &&Opened| match &asked.folder {
            Some(_) => opened.settings.folder == asked.folder,
            None => opened.settings == asked,
        };
        if let Some(opened) = self.stores.iter().find(same) {
            let other = opened.op.clone();
            let alike = opened.settings == asked;
            return if alike { Ok(()) } else { Err(OpError::TwoWays { op, other }) };
        }
        let settings = if self.trial {
            let memory_bytes = asked.memory_bytes.min(TRIAL_MEMORY);
            StoreSettings { memory_bytes, shards: 1, folder: None, ..asked.clone() }
        } else {
            asked.clone()
        };
        let store = RunStore::open(&settings, names.iter().copied())
            .map_err(|source| OpError::Store { op: op.clone(), source })?;
        self.stores.push(Opened { op, settings: asked, store: Arc::new(store) });
        Ok(())
    }

    /// Takes up the transfers of `pvrt`, unless an op before it has the same.
    fn take_up(&mut self, pvrt: &PvrtOp) -> Result<(), OpError> {
        if self.transfers.contains_key(&pvrt.dir) {
            return Ok(());
        }
        let shared = match &pvrt.dir {
            _ if self.trial => SharedTransfers::trial(),
            None => return Err(OpError::NoTransfers(pvrt.to_string())),
            Some(folder) => SharedTransfers::open(folder)
                .map_err(|source| OpError::Folder { op: pvrt.to_string(), source })?,
        };
        self.transfers.insert(pvrt.dir.clone(), Arc::new(shared));
        Ok(())
    }

    /// Opens the collection of `cst`, unless an op before it has the same.
    fn collect(&mut self, cst: &CstOp) -> Result<(), OpError> {
        if let Some(lang) = &cst.lang
            && Registry::shared().get(lang).is_none()
        {
            let (op, lang) = (cst.to_string(), lang.clone());
            let choices = Registry::shared().names().join(", ");
            return Err(OpError::Language { op, lang, choices });
        }
        let Some(dir) = cst.dir.as_ref().filter(|_| !self.trial) else { return Ok(()) };
        if !self.trees.contains_key(dir) {
            let store = Store::open(dir, Config::default()).map_err(|source| OpError::Trees {
                op: cst.to_string(),
                source: Box::new(source),
            })?;
            self.trees.insert(dir.clone(), Arc::new(store));
        }
        Ok(())
    }

    /// One worker's engine for `cst`. To try it, each payload is a file: what a parse costs is what
    /// the op does.
    fn cst(&self, cst: &CstOp) -> CstEngine {
        let grammar = cst.lang.as_ref().and_then(|lang| Registry::shared().get(lang));
        let store = cst.dir.as_ref().and_then(|dir| self.trees.get(dir)).cloned();
        if self.trial {
            let op = CstOp { mode: CstMode::Packet, ..cst.clone() };
            return CstEngine::new(&op, grammar, None);
        }
        CstEngine::new(cst, grammar, store)
    }

    /// Opens the collections of `vec`, unless an op before it has the same.
    fn open_collections(&mut self, vec: &VecOp) -> Result<(), OpError> {
        if let Some((first, _)) = self.collections.iter().find(|(first, _)| first.dir == vec.dir) {
            let (op, other) = (vec.to_string(), first.to_string());
            let alike = first.fsync == vec.fsync;
            return if alike { Ok(()) } else { Err(OpError::TwoWays { op, other }) };
        }
        let opened = if self.trial {
            RunCollections::trial()
        } else {
            RunCollections::open(&vec.dir, vec.sync())
        };
        let opened =
            opened.map_err(|source| OpError::Collections { op: vec.to_string(), source })?;
        self.collections.push((vec.clone(), Arc::new(opened)));
        Ok(())
    }

    /// The store of the first `kv` op of `program`, to be served beside the packets; `None` when it has no such
    /// op, or is none of the programs that they were loaded for.
    #[must_use]
    pub fn store(&self, program: &Program) -> Option<SharedStore> {
        let asked = program.engines().find_map(|op| match op {
            EngineOp::Kv(kv) => Some(kv.store()),
            _ => None,
        })?;
        let opened = self.stores.iter().find(|opened| opened.settings == asked)?;
        Some(opened.store.shards().clone())
    }

    /// One worker's engines for `program`, in its order.
    ///
    /// # Panics
    /// When `program` is none of those that they were loaded for.
    #[must_use]
    pub fn make(&self, program: &Program) -> Vec<Box<dyn Engine>> {
        self.make_answering(program, None)
    }

    /// The same, with the way out of the replies that they give.
    ///
    /// # Panics
    /// As [`Self::make`].
    #[must_use]
    pub fn make_answering(
        &self,
        program: &Program,
        mut replies: Option<ReplySink>,
    ) -> Vec<Box<dyn Engine>> {
        let engine = |op: &EngineOp| -> Box<dyn Engine> {
            match op {
                EngineOp::Token(token) => {
                    let vocabulary = self.vocabularies.get(&token.vocab);
                    let vocabulary = Arc::clone(vocabulary.expect("loaded for this program"));
                    Box::new(TokenEngine::new(token, vocabulary))
                }
                EngineOp::Kv(kv) => {
                    let asked = kv.store();
                    let opened = self.stores.iter().find(|opened| opened.settings == asked);
                    let store = &opened.expect("opened for this program").store;
                    Box::new(KvEngine::new(kv, Arc::clone(store), replies.take()))
                }
                EngineOp::Pvrt(pvrt) => {
                    let shared = self.transfers.get(&pvrt.dir).expect("taken up for this program");
                    Box::new(PvrtEngine::new(pvrt, Arc::clone(shared)))
                }
                EngineOp::Cst(cst) => Box::new(self.cst(cst)),
                EngineOp::Vec(vec) => {
                    let mut opened = self.collections.iter();
                    let (_, opened) =
                        opened.find(|(op, _)| op.dir == vec.dir).expect("opened for this program");
                    Box::new(VecEngine::new(vec, Arc::clone(opened), replies.take()))
                }
            }
        };
        program.engines().map(engine).collect()
    }
}
