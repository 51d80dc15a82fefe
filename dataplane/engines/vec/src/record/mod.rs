//! What a collection keeps: records with a vector each, and associations between them.

pub(crate) mod batch;
pub(crate) mod change;
pub(crate) mod raw;
pub(crate) mod row;

pub use batch::{Batch, Put};

/// A record as it is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// What it is known by.
    pub id: Vec<u8>,
    /// Its vector: as admitted by the metric (of length 1 under cosine), rounded to what the
    /// collection keeps.
    pub vector: Vec<f32>,
    /// Its text.
    pub text: String,
    /// Bytes that the collection gives no meaning.
    pub metadata: Vec<u8>,
    /// The time that it stands for, in microseconds since 1970.
    pub time: u64,
    /// How much it counts.
    pub strength: f32,
    /// How sure it is.
    pub confidence: f32,
    /// How often it was touched.
    pub access_count: u32,
    /// When its id was first written, in microseconds since 1970.
    pub created: u64,
    /// When it was last touched, or else written.
    pub accessed: u64,
    /// When this version was written.
    pub modified: u64,
    /// Log sequence number of the change that wrote it.
    pub lsn: u64,
}

/// A directed association between two records.
#[derive(Clone, Debug, PartialEq)]
pub struct Association {
    /// Where it begins.
    pub source: Vec<u8>,
    /// Where it ends.
    pub target: Vec<u8>,
    /// Its type; between two records there is at most one of a type in each direction.
    pub kind: u8,
    /// How strong it is.
    pub weight: f32,
    /// How sure it is.
    pub confidence: f32,
    /// When it was first made, in microseconds since 1970.
    pub created: u64,
    /// When it was last written.
    pub modified: u64,
}

/// The types that a collection of concepts knows; any other number may be used too.
pub mod kinds {
    /// Alike in meaning.
    pub const SEMANTIC: u8 = 0;
    /// One is the cause of the other.
    pub const CAUSAL: u8 = 1;
    /// One is before the other.
    pub const TEMPORAL: u8 = 2;
    /// One contains the other.
    pub const HIERARCHICAL: u8 = 3;
    /// One is a part of the other.
    pub const COMPOSITIONAL: u8 = 4;
}

/// Microseconds since 1970 now.
pub(crate) fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros() as u64)
}
