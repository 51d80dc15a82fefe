//! The fixed part of records and associations, in memory as on disk.

use bytemuck::{Pod, Zeroable};

/// The fixed part of a record: 64 bytes, little-endian. Times are microseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Row {
    /// Log sequence number of the change that wrote it.
    pub(crate) lsn: u64,
    /// The time that it stands for.
    pub(crate) time: u64,
    /// When its id was first written.
    pub(crate) created: u64,
    /// When this version was written.
    pub(crate) modified: u64,
    /// When it was last touched; touches since the row was written are in its marks.
    pub(crate) accessed: u64,
    pub(crate) strength: f32,
    pub(crate) confidence: f32,
    pub(crate) access_count: u32,
    pub(crate) zero: [u32; 3],
}

/// The fixed part of an association: 48 bytes, little-endian.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct EdgeRow {
    pub(crate) lsn: u64,
    pub(crate) created: u64,
    pub(crate) modified: u64,
    pub(crate) weight: f32,
    pub(crate) confidence: f32,
    pub(crate) kind: u32,
    /// Bytes of the source's id; those of the target's follow.
    pub(crate) source_len: u32,
    pub(crate) zero: u64,
}

const _: () = assert!(size_of::<Row>() == 64 && size_of::<EdgeRow>() == 48);
