//! A viewer's end of a control socket.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use crate::view::protocol::line;
use crate::view::{Answer, Hello, LIVE_VERSION, Live, PROTOCOL_VERSION, Request};

/// How long a run may take to say who it is.
const PATIENCE: Duration = Duration::from_secs(3);
/// Longest answer: plans are some kilobytes, documents of a hundred workers some hundred.
const ANSWER_BYTES: u64 = 64 << 20;

/// A connection to a run that has said who it is.
#[derive(Debug)]
pub(super) struct Link {
    reader: BufReader<UnixStream>,
    pub(super) hello: Hello,
}

/// What comes from a run.
#[derive(Debug)]
pub(super) enum News {
    /// A document.
    Live(Box<Live>),
    /// The connection is over, for this reason.
    Gone(String),
}

impl Link {
    /// Connects to the run at `path`.
    ///
    /// # Errors
    /// When nobody listens there, or says anything that is understood.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut reader = BufReader::new(stream);
        let hello = match read(&mut reader)? {
            Some(Answer::Hello(hello)) => hello,
            Some(Answer::Error(why)) => return Err(io::Error::other(why)),
            _ => return Err(io::Error::other("it is no run of pfs that listens there")),
        };
        if (hello.protocol_version, hello.schema_version) != (PROTOCOL_VERSION, LIVE_VERSION) {
            return Err(io::Error::other(format!(
                "the run is of pfs {}, whose documents this pfs {} does not read; use the same",
                hello.run.pfs_version,
                env!("CARGO_PKG_VERSION")
            )));
        }
        reader.get_ref().set_read_timeout(None)?;
        Ok(Self { reader, hello })
    }

    /// Sends a request.
    ///
    /// # Errors
    /// When the run is gone.
    pub(super) fn ask(&mut self, request: Request) -> io::Result<()> {
        self.reader.get_mut().write_all(&line(&request))
    }

    /// The next answer; `None` when the run has closed.
    ///
    /// # Errors
    /// When the run is gone, or says what is not understood.
    pub(super) fn next(&mut self) -> io::Result<Option<Answer>> {
        read(&mut self.reader)
    }

    /// Passes all documents to `news`, each as `wrap` makes it, from a thread that ends with the
    /// connection or with whoever listens. The handle that is returned asks and closes.
    ///
    /// # Errors
    /// When the process may open no more files or make no thread.
    pub(super) fn follow<T: Send + 'static>(
        mut self,
        news: Sender<T>,
        wrap: impl Fn(News) -> T + Send + 'static,
    ) -> io::Result<Handle> {
        let stream = self.reader.get_ref().try_clone()?;
        thread::Builder::new().name("pfs-top-link".into()).spawn(move || {
            let gone = loop {
                match self.next() {
                    Ok(Some(Answer::Live(live))) => {
                        if news.send(wrap(News::Live(live))).is_err() {
                            return;
                        }
                    }
                    Ok(Some(Answer::Error(why))) => break why,
                    Ok(Some(_)) => {}
                    Ok(None) => break "it has closed".to_owned(),
                    Err(error) => break error.to_string(),
                }
            };
            // Nobody listens any more: then nobody wants to know.
            let _ = news.send(wrap(News::Gone(gone)));
        })?;
        Ok(Handle(stream))
    }
}

/// The asking half of a followed link; closes it when dropped.
#[derive(Debug)]
pub(super) struct Handle(UnixStream);

impl Handle {
    /// Sends a request.
    ///
    /// # Errors
    /// When the run is gone.
    pub(super) fn ask(&mut self, request: Request) -> io::Result<()> {
        self.0.write_all(&line(&request))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Closed already, or it is the run that has gone.
        let _ = self.0.shutdown(std::net::Shutdown::Both);
    }
}

fn read(reader: &mut BufReader<UnixStream>) -> io::Result<Option<Answer>> {
    let mut text = Vec::new();
    reader.by_ref().take(ANSWER_BYTES).read_until(b'\n', &mut text)?;
    if text.is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|error| io::Error::other(format!("what it says is not understood: {error}")))
}
