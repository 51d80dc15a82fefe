//! How a command fails: a message, and the exit code it stands for.

use std::fmt;
use std::process::ExitCode;

use pfs_dataplane::run::RunError;

use crate::plan::{MakeError, StoreError};
use crate::run::PrepareError;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    usage: bool,
}

impl Failure {
    /// The command was understood and could not be done: exit code 1.
    pub(crate) fn failed(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), usage: false }
    }

    /// What was asked makes no sense: exit code 2.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), usage: true }
    }

    /// 1 for failed, 2 for usage.
    #[must_use]
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(if self.usage { 2 } else { 1 })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<MakeError> for Failure {
    fn from(error: MakeError) -> Self {
        Self::usage(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Parse { .. } | StoreError::Version { .. } => Self::usage(error),
            StoreError::Read { .. } | StoreError::Write { .. } => Self::failed(error),
        }
    }
}

impl From<PrepareError> for Failure {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::Check(_) => Self::usage(error),
            _ => Self::failed(error),
        }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        Self::failed(error)
    }
}
