//! A client that sends pipelines over several connections and compares every reply byte for byte.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Commands sent together on one connection.
pub(super) const PIPELINE: usize = 16;

/// Requests and the replies that must come, a pipeline each.
#[derive(Debug, Default)]
pub(super) struct Script {
    steps: Vec<(Vec<u8>, Vec<u8>)>,
    in_last: usize,
}

impl Script {
    /// Adds a command; `write` appends it and its reply.
    pub(super) fn add(&mut self, write: impl FnOnce(&mut Vec<u8>, &mut Vec<u8>)) {
        if self.steps.is_empty() || self.in_last == PIPELINE {
            self.steps.push(Default::default());
            self.in_last = 0;
        }
        self.in_last += 1;
        if let Some((request, reply)) = self.steps.last_mut() {
            write(request, reply);
        }
    }
}

/// Appends a RESP command.
pub(super) fn command(to: &mut Vec<u8>, words: &[&[u8]]) {
    to.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    words.iter().for_each(|word| bulk(to, word));
}

/// Appends a RESP string.
pub(super) fn bulk(to: &mut Vec<u8>, word: &[u8]) {
    to.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
    to.extend_from_slice(word);
    to.extend_from_slice(b"\r\n");
}

/// Connections to one server.
#[derive(Debug)]
pub(super) struct Client(Vec<TcpStream>);

impl Client {
    pub(super) fn connect(address: SocketAddr, connections: usize) -> io::Result<Self> {
        let connect = |_| {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(Duration::from_secs(30)))?;
            Ok(stream)
        };
        (0..connections).map(connect).collect::<io::Result<_>>().map(Self)
    }

    /// Plays `script`, a pipeline on each connection at a time.
    ///
    /// # Errors
    /// When a reply is wrong, or a connection fails.
    pub(super) fn play(&mut self, script: &Script) -> Result<(), String> {
        let mut got = Vec::new();
        for steps in script.steps.chunks(self.0.len()) {
            for (stream, (request, _)) in self.0.iter_mut().zip(steps) {
                stream.write_all(request).map_err(|error| error.to_string())?;
            }
            for (stream, (_, reply)) in self.0.iter_mut().zip(steps) {
                got.resize(reply.len(), 0);
                stream.read_exact(&mut got).map_err(|error| format!("a reply: {error}"))?;
                if got != *reply {
                    let shown = String::from_utf8_lossy(&got[..got.len().min(80)]).into_owned();
                    return Err(format!("wrong answer: {shown:?}"));
                }
            }
        }
        Ok(())
    }
}
