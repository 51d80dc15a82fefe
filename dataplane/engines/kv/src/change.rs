//! What an operation did: the vocabulary of the log on disk.

/// One change, already decided: doing it again gives the same state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change<'a> {
    /// The key has this value.
    Put { space: u16, hidden: bool, expiry: u64, key: &'a [u8], value: &'a [u8] },
    /// The key is gone.
    Delete { space: u16, key: &'a [u8] },
    /// The key, which stays as it is otherwise, goes at this time; 0 for never.
    Expire { space: u16, expiry: u64, key: &'a [u8] },
    /// The keys with this prefix are gone, up to `last` and including it.
    Purge { space: u16, prefix: &'a [u8], last: &'a [u8] },
    /// The absolute key has this value.
    Object { space: u16, absolute: u64, value: &'a [u8] },
    /// The absolute key is gone.
    Remove { space: u16, absolute: u64 },
    /// Absolute keys below this one have been given out.
    Next { space: u16, absolute: u64 },
}
