//! What a node is, in one number: kind, field and flags.

/// Flags of a [`Symbol`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(u16);

impl Flags {
    /// None set.
    pub const NONE: Self = Self(0);
    /// The grammar names this kind; the others are literal text.
    pub const NAMED: Self = Self(1);
    /// May stand anywhere, like a comment.
    pub const EXTRA: Self = Self(2);
    /// The parser put it in to recover from an error; zero bytes long.
    pub const MISSING: Self = Self(4);
    /// What the parser could not place.
    pub const ERROR: Self = Self(8);
    /// An error is in it, or it is one. Errors in nodes that the grammar hides count.
    pub const HAS_ERROR: Self = Self(16);
    /// Has no children.
    pub const LEAF: Self = Self(32);
    /// Its span is stored: of a leaf, that its length does not follow from its kind; of another
    /// node, that it starts before its first child or ends behind its last one.
    pub const MEASURED: Self = Self(64);

    /// Of a root alone: its tree says of each node which of the grammar's supertypes it stands for.
    pub const SUPERTYPES_KNOWN: Self = Self(1 << 15);

    /// Supertypes that can be told apart.
    pub const SUPERTYPES_MAX: usize = 8;
    const SUPERTYPES: u16 = 0xff << 7;

    /// Stands for the supertype of this number in [`Grammar::supertypes`]; none set from
    /// [`Self::SUPERTYPES_MAX`] on.
    ///
    /// [`Grammar::supertypes`]: super::Grammar::supertypes
    pub const fn supertype(number: usize) -> Self {
        if number < Self::SUPERTYPES_MAX { Self(1 << (number + 7)) } else { Self::NONE }
    }

    /// The same flags as far as they say of supertypes which the node stands for.
    pub(crate) const fn supertypes(self) -> Self {
        Self(self.0 & Self::SUPERTYPES)
    }

    /// From the bits of [`Flags::bits`].
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// The bits.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Whether all of `other` are set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These and `other`.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These and `other` where `condition` holds.
    #[must_use]
    pub const fn with_if(self, condition: bool, other: Self) -> Self {
        if condition { self.with(other) } else { self }
    }
}

/// Kind, field and flags of a node. A grammar of a programming language has some hundred that
/// occur, fewer than kind times field times flags by far.
///
/// Packed into 64 bits: kind in 0..16, field in 16..32, flags in 32..48, zero above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Symbol(u64);

impl Symbol {
    /// A node of `kind` (tree-sitter's `kind_id`, 65,535 for errors) that its parent knows by
    /// `field` (0 for none).
    pub const fn new(kind: u16, field: u16, flags: Flags) -> Self {
        Self(kind as u64 | (field as u64) << 16 | (flags.0 as u64) << 32)
    }

    /// From the bits of [`Symbol::bits`]; none if they are no symbol's.
    pub const fn from_bits(bits: u64) -> Option<Self> {
        if bits >> 48 == 0 { Some(Self(bits)) } else { None }
    }

    /// The same with other flags.
    #[must_use]
    pub const fn with_flags(self, flags: Flags) -> Self {
        Self::new(self.kind(), self.field(), flags)
    }

    /// All of it as one number.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The grammar's number of the kind.
    pub const fn kind(self) -> u16 {
        self.0 as u16
    }

    /// The grammar's number of the field, 0 for none.
    pub const fn field(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// The flags.
    pub const fn flags(self) -> Flags {
        Flags((self.0 >> 32) as u16)
    }

    /// Without children.
    pub const fn is_leaf(self) -> bool {
        self.flags().has(Flags::LEAF)
    }

    /// Its span is stored, see [`Flags::MEASURED`].
    pub const fn is_measured(self) -> bool {
        self.flags().has(Flags::MEASURED)
    }

    /// A leaf whose length is stored.
    pub const fn is_measured_leaf(self) -> bool {
        self.flags().has(Flags::LEAF.with(Flags::MEASURED))
    }
}

/// Number of a [`Symbol`] in a table. Leaves whose length is stored have the high bit set and
/// count apart: forms that index their lengths tell them by this bit alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SymbolId(u16);

impl SymbolId {
    const MEASURED_LEAF: u16 = 0x8000;

    /// The `index`-th of its class; `index` < 32,768.
    pub const fn new(measured_leaf: bool, index: u16) -> Self {
        Self(index | if measured_leaf { Self::MEASURED_LEAF } else { 0 })
    }

    /// From the bits of [`SymbolId::bits`].
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// Class and index as one number.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Of a leaf whose length is stored.
    pub const fn is_measured_leaf(self) -> bool {
        self.0 & Self::MEASURED_LEAF != 0
    }

    /// Index among its class.
    pub const fn index(self) -> u16 {
        self.0 & !Self::MEASURED_LEAF
    }
}
