//! A blocking client: enough to read a store back and to drive a server from the command line.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::{Reply, ReplyError, ReplyLimits};

/// What can go wrong between a client and its server.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The connection failed.
    #[error("{doing} {server}: {source}; check that the server runs there")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The server's address, as given.
        server: String,
        /// The cause.
        source: io::Error,
    },
    /// The server closed the connection in the middle of a reply.
    #[error("{0} closed the connection before its reply; its log says why")]
    Closed(String),
    /// The server sent what is no reply.
    #[error("reading a reply of {server}: {source}")]
    Reply {
        /// The server's address, as given.
        server: String,
        /// The cause.
        source: ReplyError,
    },
}

/// A connection to a server that speaks RESP.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    server: String,
    read: Vec<u8>,
    done: usize,
    write: Vec<u8>,
    limits: ReplyLimits,
}

impl Client {
    /// Connects to `server` (`host:port`); each wait for a reply ends after `timeout`.
    ///
    /// # Errors
    /// [`ClientError::Io`].
    pub fn connect(server: &str, timeout: Duration) -> Result<Self, ClientError> {
        let failed =
            |source| ClientError::Io { doing: "connecting to", server: server.into(), source };
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in server.to_socket_addrs().map_err(failed)? {
            match TcpStream::connect_timeout(&address, timeout) {
                Ok(stream) => {
                    stream.set_nodelay(true).map_err(failed)?;
                    stream.set_read_timeout(Some(timeout)).map_err(failed)?;
                    stream.set_write_timeout(Some(timeout)).map_err(failed)?;
                    return Ok(Self {
                        stream,
                        server: server.to_owned(),
                        read: Vec::new(),
                        done: 0,
                        write: Vec::new(),
                        limits: ReplyLimits::default(),
                    });
                }
                Err(error) => last = error,
            }
        }
        Err(failed(last))
    }

    /// Adds a command to those that [`Client::flush`] sends.
    pub fn push<T: AsRef<[u8]>>(
        &mut self,
        args: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
    ) {
        let args = args.into_iter();
        let mut encoder = super::Encoder::new(&mut self.write, super::Version::Resp2);
        encoder.array(args.len());
        for arg in args {
            encoder.bulk(arg.as_ref());
        }
    }

    /// Sends the commands that were added.
    ///
    /// # Errors
    /// [`ClientError::Io`].
    pub fn flush(&mut self) -> Result<(), ClientError> {
        let sent = self.stream.write_all(&self.write);
        self.write.clear();
        sent.map_err(|source| self.failed("writing to", source))
    }

    /// Waits for the next reply.
    ///
    /// # Errors
    /// [`ClientError`]; the connection is of no use afterwards.
    pub fn reply(&mut self) -> Result<Reply, ClientError> {
        loop {
            let found = Reply::read(&self.read[self.done..], &self.limits)
                .map_err(|source| ClientError::Reply { server: self.server.clone(), source })?;
            if let Some((reply, len)) = found {
                self.done += len;
                if self.done == self.read.len() {
                    self.read.clear();
                    self.done = 0;
                }
                return Ok(reply);
            }
            self.fill()?;
        }
    }

    /// Sends one command and waits for its reply.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn call<T: AsRef<[u8]>>(
        &mut self,
        args: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
    ) -> Result<Reply, ClientError> {
        self.push(args);
        self.flush()?;
        self.reply()
    }

    /// Reads at least as much again as there is, so that a long reply is not looked at too often.
    fn fill(&mut self) -> Result<(), ClientError> {
        self.read.drain(..self.done);
        self.done = 0;
        let had = self.read.len();
        let want = had.max(64 << 10);
        self.read.resize(had + want, 0);
        let got = self.stream.read(&mut self.read[had..]);
        self.read.truncate(had + *got.as_ref().unwrap_or(&0));
        match got {
            Ok(0) => Err(ClientError::Closed(self.server.clone())),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(source) => Err(self.failed("waiting for a reply of", source)),
        }
    }

    fn failed(&self, doing: &'static str, source: io::Error) -> ClientError {
        ClientError::Io { doing, server: self.server.clone(), source }
    }
}
