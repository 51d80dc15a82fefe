//! What was learned about a grammar's trees beforehand: their symbols by frequency, what stands between
//! their leaves, and zstd dictionaries for their columns.
//!
//! Little endian: magic `PFSCSTT2`, ABI version `u32`, hash of the tables 16 bytes, symbols `u32`
//! and each as `u64` ([`Symbol::bits`]), habits: gaps `u32` and of each the codes before and behind and the
//! token, a byte each, then a bit for each code, 32 bytes; dictionaries `u32` and each as length `u32`
//! and bytes, BLAKE3 of all before, 16 bytes.

use super::grammar::Identity;
use super::habits::Habits;
use super::symbol::Symbol;

const MAGIC: &[u8; 8] = b"PFSCSTT2";

/// Symbols and dictionaries of one grammar, shipped or made by
/// [`train`](crate::cold::train).
#[derive(Clone, Debug)]
pub struct Trained {
    tables: [u8; 16],
    abi: u32,
    symbols: Vec<Symbol>,
    habits: Habits,
    dictionaries: Vec<Vec<u8>>,
}

impl Trained {
    /// What was learned for `identity`: `symbols` by falling frequency, dictionaries in the order
    /// of the columns that they are for.
    pub fn new(
        identity: &Identity,
        symbols: Vec<Symbol>,
        habits: Habits,
        dictionaries: Vec<Vec<u8>>,
    ) -> Self {
        Self { tables: identity.tables, abi: identity.abi, symbols, habits, dictionaries }
    }

    /// What this build ships for exactly `identity`.
    pub fn shipped(identity: &Identity) -> Option<Self> {
        let (_, bytes) =
            super::builtin::TRAINED.iter().find(|(name, _)| *name == &*identity.name)?;
        let trained = Self::read(bytes)?;
        (trained.tables == identity.tables && trained.abi == identity.abi).then_some(trained)
    }

    /// Symbols, by falling frequency.
    pub fn symbols(&self) -> &[Symbol] {
        &self.symbols
    }

    /// What stands between leaves.
    pub const fn habits(&self) -> &Habits {
        &self.habits
    }

    /// The dictionary for a column, empty where none was trained.
    pub fn dictionary(&self, column: usize) -> &[u8] {
        self.dictionaries.get(column).map_or(&[], |dictionary| dictionary)
    }

    /// As a file.
    pub fn write(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend(self.abi.to_le_bytes());
        out.extend(self.tables);
        out.extend((self.symbols.len() as u32).to_le_bytes());
        self.symbols.iter().for_each(|symbol| out.extend(symbol.bits().to_le_bytes()));
        self.habits.write(&mut out);
        out.extend((self.dictionaries.len() as u32).to_le_bytes());
        for dictionary in &self.dictionaries {
            out.extend((dictionary.len() as u32).to_le_bytes());
            out.extend(dictionary);
        }
        let check = check_of(&out);
        out.extend(check);
        out
    }

    /// From a file's bytes; none if they are not whole.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (body, check) = bytes.split_last_chunk::<16>()?;
        if check_of(body) != *check {
            return None;
        }
        let mut rest = body.strip_prefix(MAGIC)?;
        let abi = word(&mut rest)?;
        let tables = *take(&mut rest, 16)?.first_chunk()?;
        let symbols = (0..word(&mut rest)?)
            .map(|_| Symbol::from_bits(u64::from_le_bytes(*take(&mut rest, 8)?.first_chunk()?)))
            .collect::<Option<_>>()?;
        let gaps = word(&mut rest)? as usize;
        let gaps = take(&mut rest, gaps.checked_mul(3)?)?;
        let habits = Habits::read(gaps, take(&mut rest, 32)?)?;
        let mut dictionaries = Vec::new();
        for _ in 0..word(&mut rest)? {
            let len = word(&mut rest)? as usize;
            dictionaries.push(take(&mut rest, len)?.to_vec());
        }
        rest.is_empty().then_some(Self { tables, abi, symbols, habits, dictionaries })
    }
}

fn check_of(body: &[u8]) -> [u8; 16] {
    let mut check = [0; 16];
    check.copy_from_slice(&blake3::hash(body).as_bytes()[..16]);
    check
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(len)?;
    *rest = left;
    Some(taken)
}

fn word(rest: &mut &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(*take(rest, 4)?.first_chunk()?))
}
