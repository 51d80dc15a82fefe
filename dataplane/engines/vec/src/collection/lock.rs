//! One process at a time writes a collection.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::Path;

use super::error::{IoContext, StoreError};

/// A collection's folder that no other process writes; it is free again when this is dropped, or its
/// process ends however it does. Who reads does not ask.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

impl Lock {
    /// Takes `folder`.
    ///
    /// # Errors
    /// [`StoreError::Locked`] with the process that has it.
    pub(crate) fn take(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join("lock");
        let options =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = options.doing("opening", &path)?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0).doing("writing", &path)?;
                writeln!(file, "{}", std::process::id()).doing("writing", &path)?;
                Ok(Self { file })
            }
            Err(error) => Err(refused(error, &mut file, folder)),
        }
    }
}

/// Says who has `folder`.
fn refused(error: TryLockError, file: &mut File, folder: &Path) -> StoreError {
    match error {
        TryLockError::WouldBlock => {
            let mut text = String::new();
            let read = file.read_to_string(&mut text);
            let pid = read.ok().and_then(|_| text.trim().parse().ok()).unwrap_or(0);
            StoreError::Locked { path: folder.into(), pid }
        }
        TryLockError::Error(source) => {
            StoreError::Io { doing: "locking", path: folder.join("lock"), source }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a process that another thread is just starting has the file too,
        // until it runs its own program. Where this fails, its end frees the lock.
        let _ = self.file.unlock();
    }
}
