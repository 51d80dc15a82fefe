//! Id sinks as a plan has them.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where token ids go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum IdSinkSpec {
    /// Two files: `path` holds the ids, 32 bits each, little-endian, and nothing else; the file
    /// with `.idx` appended says which ids are whose, by flow and time.
    U32 {
        /// File for the ids.
        path: PathBuf,
    },
    /// An Arrow IPC file: a row a record, ids as a list column.
    Arrow {
        /// The file.
        path: PathBuf,
    },
    /// A JSON object a line.
    Json {
        /// The file; `-`, and left out, is standard output.
        #[serde(default = "stdout")]
        path: PathBuf,
    },
    /// A ring in shared memory, which another process attaches to through a Unix socket.
    Ring {
        /// Path of the socket.
        socket: PathBuf,
        /// Words of 4 bytes that the ring holds: a power of two, 131,072 to 268,435,456. A record
        /// takes 20 and one for each id.
        #[serde(default = "words")]
        words: u32,
        /// What happens to a record for which there is no room.
        #[serde(default)]
        when_full: WhenFull,
    },
}

/// What happens to a record that the ring has no room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// It is dropped and counted as lost: the worker never waits.
    #[default]
    Drop,
    /// The worker waits, as long as a reader lives; for the first one it waits 10 s.
    Wait,
}

fn stdout() -> PathBuf {
    "-".into()
}

const fn words() -> u32 {
    1 << 20
}

impl IdSinkSpec {
    /// Fewest and most words of a ring. The fewest hold any record.
    pub const RING_WORDS: std::ops::RangeInclusive<u32> = 1 << 17..=1 << 28;

    /// The file or socket.
    #[must_use]
    pub const fn path(&self) -> &PathBuf {
        match self {
            Self::U32 { path } | Self::Arrow { path } | Self::Json { path } => path,
            Self::Ring { socket, .. } => socket,
        }
    }

    /// Whether it is standard output, which all workers share.
    #[must_use]
    pub fn is_stdout(&self) -> bool {
        matches!(self, Self::Json { path } if path.as_os_str() == "-")
    }

    /// The same for one of several workers: its number appended to the path.
    #[must_use]
    pub fn of_worker(&self, worker: usize) -> Self {
        let mut mine = self.clone();
        if !mine.is_stdout() {
            let (Self::U32 { path }
            | Self::Arrow { path }
            | Self::Json { path }
            | Self::Ring { socket: path, .. }) = &mut mine;
            path.as_mut_os_string().push(format!(".{worker}"));
        }
        mine
    }
}
