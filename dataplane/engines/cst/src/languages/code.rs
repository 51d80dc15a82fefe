//! Symbols in a byte each, as hot and cold trees keep them.

use super::symbol::SymbolId;

/// A symbol's number in a byte: the first 159 that are no measured leaves, then an escape; the
/// first 95 measured leaves from 160 on, then an escape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Code(pub(crate) u8);

impl Code {
    /// Codes from here on are leaves whose length is stored.
    pub(crate) const MEASURED: u8 = 160;
    const ESCAPE: u8 = Self::MEASURED - 1;
    const MEASURED_ESCAPE: u8 = u8::MAX;

    #[inline]
    pub(crate) fn of(id: SymbolId) -> Self {
        let (first, escape) = if id.is_measured_leaf() {
            (Self::MEASURED, Self::MEASURED_ESCAPE)
        } else {
            (0, Self::ESCAPE)
        };
        Self(if id.index() < u16::from(escape - first) { first + id.index() as u8 } else { escape })
    }

    /// The symbol's number stands elsewhere.
    #[inline]
    pub(crate) const fn is_escape(self) -> bool {
        matches!(self.0, Self::ESCAPE | Self::MEASURED_ESCAPE)
    }

    /// The number, of what is no escape.
    #[inline]
    pub(crate) const fn id(self) -> SymbolId {
        let measured = self.0 >= Self::MEASURED;
        let index = if measured { self.0 - Self::MEASURED } else { self.0 };
        SymbolId::new(measured, index as u16)
    }
}
