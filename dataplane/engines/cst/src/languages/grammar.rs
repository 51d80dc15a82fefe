//! A grammar with what its trees share: names, identity, symbols.

use std::fmt;
use std::sync::Arc;

use tree_sitter::Language;

use super::habits::{self, Habits};
use super::symbol::{Flags, Symbol, SymbolId};
use super::table::SymbolTable;
use super::trained::Trained;
use crate::cold::Decoders;

/// tree-sitter's number of the kind `ERROR`.
pub const KIND_ERROR: u16 = u16::MAX;

/// What a stored tree's numbers mean something to: the grammar's name, its ABI version and a hash
/// of its tables of kinds and fields. Two builds of a grammar with the same identity give every
/// kind and field the same number and name.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The name that the registry has it by.
    pub name: Box<str>,
    /// tree-sitter's ABI version of the grammar's tables.
    pub abi: u32,
    /// First 16 bytes of BLAKE3 over all kinds (name, named, visible) and fields.
    pub tables: [u8; 16],
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = u64::from_be_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|at| self.tables[at]));
        write!(f, "{} (ABI {}, tables {short:016x})", self.name, self.abi)
    }
}

#[derive(Debug)]
struct Kind {
    name: Box<str>,
    named: bool,
    /// Bytes of the name; 0 of a named kind, and of one too long to be a text.
    implied: u16,
}

impl Kind {
    fn new(name: &str, named: bool) -> Self {
        let len = if named { 0 } else { u16::try_from(name.len()).unwrap_or(0) };
        Self { name: name.into(), named, implied: len }
    }
}

/// A grammar; trees of one share it by [`Arc`].
#[derive(Debug)]
pub struct Grammar {
    language: Language,
    identity: Identity,
    kinds: Vec<Kind>,
    fields: Vec<Box<str>>,
    supertypes: Vec<u16>,
    symbols: SymbolTable,
    trained: Option<Trained>,
    decoders: Decoders,
}

impl Grammar {
    /// Takes `language` by `name`. Where tables trained for just this identity are shipped, its
    /// symbols start with theirs.
    pub fn new(name: &str, language: Language) -> Arc<Self> {
        Self::with(name, language, Trained::shipped)
    }

    /// The same, with nothing trained: what training itself starts from.
    pub fn untrained(name: &str, language: Language) -> Arc<Self> {
        Self::with(name, language, |_| None)
    }

    pub(crate) fn with(
        name: &str,
        language: Language,
        trained: impl FnOnce(&Identity) -> Option<Trained>,
    ) -> Arc<Self> {
        let kinds: Vec<_> = (0..language.node_kind_count())
            .map(|id| {
                let name = language.node_kind_for_id(id as u16).unwrap_or_default();
                Kind::new(name, language.node_kind_is_named(id as u16))
            })
            .collect();
        let fields: Vec<Box<str>> = (0..=language.field_count())
            .map(|id| language.field_name_for_id(id as u16).unwrap_or_default().into())
            .collect();
        let kind_ids = 0..language.node_kind_count() as u16;
        let supertypes = kind_ids.filter(|id| language.node_kind_is_supertype(*id)).collect();
        let tables = tables_hash(&language, &kinds, &fields);
        let identity = Identity { name: name.into(), abi: language.abi_version() as u32, tables };
        let trained = trained(&identity);
        let symbols = SymbolTable::default();
        let decoders = Decoders::default();
        let grammar =
            Self { language, identity, kinds, fields, supertypes, symbols, trained, decoders };
        for symbol in grammar.trained.iter().flat_map(Trained::symbols) {
            grammar.intern(*symbol);
        }
        Arc::new(grammar)
    }

    /// tree-sitter's handle.
    pub const fn language(&self) -> &Language {
        &self.language
    }

    /// Name, ABI version, hash of the tables.
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Symbols met so far.
    pub const fn symbols(&self) -> &SymbolTable {
        &self.symbols
    }

    /// What was trained for this grammar, where something was.
    pub const fn trained(&self) -> Option<&Trained> {
        self.trained.as_ref()
    }

    /// What stands between the leaves of its trees, as far as that was trained.
    pub(crate) fn habits(&self) -> &Habits {
        self.trained.as_ref().map_or(&habits::NONE, Trained::habits)
    }

    pub(crate) const fn decoders(&self) -> &Decoders {
        &self.decoders
    }

    /// Kinds of hidden nodes that queries may name for those they stand around, by their numbers.
    pub fn supertypes(&self) -> &[u16] {
        &self.supertypes
    }

    /// The flag of nodes that stand for a supertype; none for a kind that is none.
    pub(crate) fn supertype_flag(&self, kind: u16) -> Option<Flags> {
        self.supertypes.iter().position(|it| *it == kind).map(Flags::supertype)
    }

    /// Whether a node of this grammar can be `symbol`: its kind, field and supertypes are the grammar's.
    pub(crate) fn knows(&self, symbol: Symbol) -> bool {
        let all = (0..self.supertypes.len()).map(Flags::supertype);
        let all = all.fold(Flags::NONE, Flags::with);
        if !all.has(symbol.flags().supertypes()) {
            return false;
        }
        let (kind, field) = (usize::from(symbol.kind()), usize::from(symbol.field()));
        (kind < self.kinds.len() || symbol.kind() == KIND_ERROR) && field < self.fields.len()
    }

    /// Name of a kind; `ERROR` for [`KIND_ERROR`], empty for a number that the grammar has not.
    pub fn kind_name(&self, kind: u16) -> &str {
        match self.kinds.get(usize::from(kind)) {
            Some(kind) => &kind.name,
            None if kind == KIND_ERROR => "ERROR",
            None => "",
        }
    }

    /// Whether the grammar names the kind, rather than quoting it.
    pub fn is_named(&self, kind: u16) -> bool {
        self.kinds.get(usize::from(kind)).map_or(kind == KIND_ERROR, |kind| kind.named)
    }

    /// Name of a field; none for 0 and for a number that the grammar has not.
    pub fn field_name(&self, field: u16) -> Option<&str> {
        self.fields.get(usize::from(field)).filter(|name| !name.is_empty()).map(|name| &**name)
    }

    /// Number of a field.
    pub fn field_id(&self, name: &str) -> Option<u16> {
        self.language.field_id_for_name(name).map(std::num::NonZero::get)
    }

    /// Bytes that a leaf of this kind has unless its symbol says otherwise: quoted kinds are their
    /// own text, missing nodes have none.
    #[inline]
    pub fn implied_len(&self, symbol: Symbol) -> u16 {
        if symbol.flags().has(Flags::MISSING) || symbol.flags().has(Flags::NAMED) {
            return 0;
        }
        self.kinds.get(usize::from(symbol.kind())).map_or(0, |kind| kind.implied)
    }

    /// The symbol of number `id`; of a number never given out, a node of kind 0.
    #[inline]
    pub fn symbol(&self, id: SymbolId) -> Symbol {
        self.symbol_and_len(id).0
    }

    /// The symbol of number `id` with [`Grammar::implied_len`] of it.
    #[inline]
    pub fn symbol_and_len(&self, id: SymbolId) -> (Symbol, u16) {
        self.symbols.get(id).unwrap_or((Symbol::new(0, 0, Flags::NONE), 0))
    }

    /// The number of `symbol`, see [`SymbolTable::intern`].
    pub fn intern(&self, symbol: Symbol) -> Option<SymbolId> {
        self.symbols.intern(symbol, self.implied_len(symbol))
    }
}

fn tables_hash(language: &Language, kinds: &[Kind], fields: &[Box<str>]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    let mut text = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u32).to_le_bytes()).update(bytes);
    };
    for (id, kind) in kinds.iter().enumerate() {
        text(kind.name.as_bytes());
        text(&[u8::from(kind.named), u8::from(language.node_kind_is_visible(id as u16))]);
    }
    text(b"fields");
    for field in fields {
        text(field.as_bytes());
    }
    let mut first = [0; 16];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    first
}
