//! A file that is there whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::IdSinkError;

/// Bytes gathered before the file is written to.
const BUFFER: usize = 256 << 10;

/// Written under another name beside the final one, which it gets when all of it is on the disk.
/// Dropped before, it is removed. A path that is no regular file (a pipe, a device) is written to
/// directly; `-` is standard output.
#[derive(Debug)]
pub struct OutFile {
    path: PathBuf,
    /// `None` for standard output, which the process shares.
    file: Option<File>,
    /// Name until it is published.
    temporary: Option<PathBuf>,
    buffer: Vec<u8>,
    bytes: u64,
}

impl OutFile {
    /// Begins the file.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(path: &Path) -> Result<Self, IdSinkError> {
        let regular = fs::metadata(path).map_or(true, |meta| meta.is_file());
        let opened = if path.as_os_str() == "-" {
            Ok((None, None))
        } else if regular {
            let name = temporary_name(path);
            File::create_new(&name).map(|file| (Some(file), Some(name)))
        } else {
            OpenOptions::new().write(true).open(path).map(|file| (Some(file), None))
        };
        let (file, temporary) =
            opened.map_err(|source| IdSinkError::io("creating", path, source))?;
        let buffer = Vec::with_capacity(BUFFER);
        Ok(Self { path: path.to_owned(), file, temporary, buffer, bytes: 0 })
    }

    /// Whether it can be taken back or written anew, as a pipe cannot.
    #[must_use]
    pub const fn is_regular(&self) -> bool {
        self.temporary.is_some()
    }

    /// Its final name.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes put so far.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds `bytes`.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), IdSinkError> {
        if self.buffer.len() + bytes.len() > BUFFER {
            self.write_out()?;
        }
        self.bytes += bytes.len() as u64;
        if bytes.len() >= BUFFER {
            return self.out(|out| out.write_all(bytes));
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes what is buffered.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_out(&mut self) -> Result<(), IdSinkError> {
        let buffer = std::mem::take(&mut self.buffer);
        let written = self.out(|out| out.write_all(&buffer).and_then(|()| out.flush()));
        self.buffer = buffer;
        self.buffer.clear();
        written
    }

    fn out(&self, put: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), IdSinkError> {
        let written = match &self.file {
            Some(file) => put(&mut &*file),
            None => put(&mut io::stdout().lock()),
        };
        written.map_err(|source| IdSinkError::io("writing", &self.path, source))
    }

    /// Writes all, replaces the file's first bytes by `front`, and gives the file its name.
    ///
    /// # Errors
    /// When it cannot; the half-written file is removed.
    pub fn publish(mut self, front: &[u8]) -> Result<(), IdSinkError> {
        self.write_out()?;
        self.save(front).map_err(|source| IdSinkError::io("saving", &self.path, source))
    }

    fn save(&mut self, front: &[u8]) -> io::Result<()> {
        let (Some(file), Some(name)) = (&self.file, &self.temporary) else { return Ok(()) };
        if !front.is_empty() {
            let mut file = file;
            file.seek(SeekFrom::Start(0))?;
            file.write_all(front)?;
        }
        file.sync_data()?;
        fs::rename(name, &self.path)?;
        self.temporary = None;
        let folder = self.path.parent().filter(|path| !path.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Write for OutFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes).map(|()| bytes.len()).map_err(into_io)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_out().map_err(into_io)
    }
}

fn into_io(error: IdSinkError) -> io::Error {
    match error {
        IdSinkError::Io { source, .. } => source,
        other => io::Error::other(other),
    }
}

impl Drop for OutFile {
    fn drop(&mut self) {
        if let Some(name) = &self.temporary {
            let _ = fs::remove_file(name);
        }
    }
}

/// `.NAME.PID-NANOSECONDS.tmp` beside `path`.
fn temporary_name(path: &Path) -> PathBuf {
    let nanos = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos() as u64);
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}-{nanos}.tmp", std::process::id()));
    path.with_file_name(name)
}
