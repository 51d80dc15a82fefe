//! Messages over TCP.
//!
//! A record is its length (u16) and so many bytes, sealed by Noise with a counter as nonce unless
//! the transfer is plain. The records' contents, one after the other, are messages: a length (u32,
//! at most [`MESSAGE_MOST`]) and so many bytes.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::PATIENCE;
use super::keys::PublicKey;
use super::secure::{self, Sealer, Security, lost};
use crate::transfer::error::TransferError;

/// Longest message in bytes.
pub(crate) const MESSAGE_MOST: usize = 1 << 20;
/// Most bytes of a record without its tag.
const RECORD_MOST: usize = 16 << 10;
const TAG: usize = 16;
/// How often a waiting reader looks up.
const TICK: Duration = Duration::from_millis(250);

/// Connects to a receiver.
///
/// # Errors
/// When nobody listens there, or the handshake fails.
pub fn connect(to: SocketAddr, security: &Security) -> Result<(Outgoing, Incoming), TransferError> {
    let doing = || format!("connecting to {to}; is pfs recv running there?");
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE)
        .map_err(|error| TransferError::io(doing(), error))?;
    settle(&stream)?;
    let sealer = secure::connect(&mut stream, security)?;
    halves(stream, sealer)
}

/// Takes a sender's connection. Where it must not be let in, both ends are told why.
///
/// # Errors
/// When the handshake fails or the sender's key is not known.
pub fn accept(
    mut stream: TcpStream,
    security: &Security,
) -> Result<(Outgoing, Incoming), TransferError> {
    settle(&stream)?;
    let (sealer, key) = secure::accept(&mut stream, security)?;
    let (mut out, incoming) = halves(stream, sealer)?;
    if let Err(refused) = allowed(security, key) {
        let message = crate::transfer::message::error(&refused);
        // Should it be gone already, it has no use for the reason.
        let _ = out.send(&message).and_then(|()| out.flush());
        return Err(refused);
    }
    Ok((out, incoming))
}

fn allowed(security: &Security, key: Option<PublicKey>) -> Result<(), TransferError> {
    match (security, key) {
        (Security::Hosts { peers, .. }, Some(key)) => peers.check(key),
        _ => Ok(()),
    }
}

fn settle(stream: &TcpStream) -> Result<(), TransferError> {
    let set = || {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))
    };
    set().map_err(|error| TransferError::io("setting up the connection", error))
}

fn halves(stream: TcpStream, sealer: Sealer) -> Result<(Outgoing, Incoming), TransferError> {
    let failed = |error| TransferError::io("setting up the connection", error);
    let other = stream.try_clone().map_err(failed)?;
    other.set_read_timeout(Some(TICK)).map_err(failed)?;
    let peer = stream.peer_addr().map_err(failed)?;
    let local = stream.local_addr().map_err(failed)?;
    let out = Outgoing {
        stream,
        sealer: sealer.clone(),
        nonce: 0,
        held: Vec::new(),
        sent: 0,
        peer,
        local,
        last: Instant::now(),
    };
    let incoming = Incoming {
        stream: other,
        sealer,
        nonce: 0,
        wire: Vec::new(),
        opened: Vec::new(),
        received: 0,
    };
    Ok((out, incoming))
}

/// Sends messages.
#[derive(Debug)]
pub struct Outgoing {
    stream: TcpStream,
    sealer: Sealer,
    nonce: u64,
    /// Of messages, not yet in a record.
    held: Vec<u8>,
    sent: u64,
    peer: SocketAddr,
    local: SocketAddr,
    last: Instant,
}

impl Outgoing {
    /// Queues `message`; it leaves with [`Self::flush`], or when enough is queued.
    ///
    /// # Errors
    /// When the connection is lost.
    ///
    /// # Panics
    /// When the message is longer than `MESSAGE_MOST`.
    pub fn send(&mut self, message: &[u8]) -> Result<(), TransferError> {
        assert!(message.len() <= MESSAGE_MOST, "messages are made no longer");
        self.held.extend_from_slice(&(message.len() as u32).to_le_bytes());
        self.held.extend_from_slice(message);
        if self.held.len() >= 4 * RECORD_MOST { self.flush() } else { Ok(()) }
    }

    /// Sends what is queued.
    ///
    /// # Errors
    /// When the connection is lost.
    pub fn flush(&mut self) -> Result<(), TransferError> {
        if self.held.is_empty() {
            return Ok(());
        }
        let mut wire = Vec::with_capacity(self.held.len() + self.held.len() / 64 + 32);
        for part in self.held.chunks(RECORD_MOST) {
            seal(&self.sealer, &mut self.nonce, part, &mut wire)?;
        }
        self.held.clear();
        self.stream.write_all(&wire).map_err(|error| lost("telling it more", error))?;
        self.sent += wire.len() as u64;
        self.last = Instant::now();
        Ok(())
    }

    /// Bytes sent so far, without TCP's own.
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// When something was sent last.
    #[must_use]
    pub const fn last(&self) -> Instant {
        self.last
    }

    /// The other end's address.
    #[must_use]
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// This end's address.
    #[must_use]
    pub const fn local(&self) -> SocketAddr {
        self.local
    }

    /// Ends the connection in both directions; a reader of it then reads its end.
    pub fn close(&self) {
        // It may be closed already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

fn seal(
    sealer: &Sealer,
    nonce: &mut u64,
    part: &[u8],
    wire: &mut Vec<u8>,
) -> Result<(), TransferError> {
    let Some(sealer) = sealer else {
        wire.extend_from_slice(&(part.len() as u16).to_le_bytes());
        wire.extend_from_slice(part);
        return Ok(());
    };
    let begin = wire.len() + 2;
    wire.extend_from_slice(&((part.len() + TAG) as u16).to_le_bytes());
    wire.resize(begin + part.len() + TAG, 0);
    let sealed = sealer.write_message(*nonce, part, &mut wire[begin..]);
    sealed.map_err(|error| TransferError::io("sealing a message", io::Error::other(error)))?;
    *nonce += 1;
    Ok(())
}

/// Receives messages.
#[derive(Debug)]
pub struct Incoming {
    stream: TcpStream,
    sealer: Sealer,
    nonce: u64,
    /// As it came, not yet whole records.
    wire: Vec<u8>,
    /// Contents of records, not yet whole messages.
    opened: Vec<u8>,
    received: u64,
}

impl Incoming {
    /// The next message; none when nothing came for a while, so that the caller can look up.
    ///
    /// # Errors
    /// When the connection is lost, or what comes was not sealed by the other end.
    pub fn receive(&mut self) -> Result<Option<Vec<u8>>, TransferError> {
        loop {
            if let Some(message) = self.message()? {
                return Ok(Some(message));
            }
            if self.record()? {
                continue;
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Bytes received so far, without TCP's own.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.received
    }

    fn message(&mut self) -> Result<Option<Vec<u8>>, TransferError> {
        let Some((length, rest)) = self.opened.split_first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_le_bytes(*length) as usize;
        if length > MESSAGE_MOST {
            return Err(TransferError::Protocol("a message is too long"));
        }
        let Some(message) = rest.get(..length) else { return Ok(None) };
        let message = message.to_vec();
        self.opened.drain(..4 + length);
        Ok(Some(message))
    }

    /// Opens a whole record, if there is one.
    fn record(&mut self) -> Result<bool, TransferError> {
        let Some((length, rest)) = self.wire.split_first_chunk::<2>() else { return Ok(false) };
        let length = usize::from(u16::from_le_bytes(*length));
        let Some(record) = rest.get(..length) else { return Ok(false) };
        match &self.sealer {
            None => self.opened.extend_from_slice(record),
            Some(sealer) => {
                let begin = self.opened.len();
                self.opened.resize(begin + record.len(), 0);
                let opened = sealer.read_message(self.nonce, record, &mut self.opened[begin..]);
                let opened =
                    opened.map_err(|_| TransferError::Protocol("a record is forged or torn"))?;
                self.opened.truncate(begin + opened);
                self.nonce += 1;
            }
        }
        self.wire.drain(..2 + length);
        Ok(true)
    }

    /// Reads more; false when nothing came.
    fn fill(&mut self) -> Result<bool, TransferError> {
        let mut buffer = [0; 64 << 10];
        match self.stream.read(&mut buffer) {
            Ok(0) => Err(TransferError::Closed { doing: "waiting for it" }),
            Ok(count) => {
                self.wire.extend_from_slice(&buffer[..count]);
                self.received += count as u64;
                Ok(true)
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Ok(false),
                io::ErrorKind::Interrupted => Ok(true),
                _ => Err(lost("waiting for it", error)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::control::keys::{Identity, Peers, SharedKey};
    use std::net::TcpListener;
    use std::thread;

    type Ends =
        (Result<(Outgoing, Incoming), TransferError>, Result<(Outgoing, Incoming), TransferError>);

    fn meet(sender: Security, receiver: Security) -> Ends {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let to = listener.local_addr().expect("bound");
        let sending = thread::spawn(move || connect(to, &sender));
        let (stream, _) = listener.accept().expect("connects");
        let receiver = accept(stream, &receiver);
        (sending.join().expect("no panic"), receiver)
    }

    fn shared(secret: &[u8]) -> Security {
        Security::Shared(SharedKey::new(secret).expect("long enough"))
    }

    fn talks(ends: Ends) {
        let ((mut out, mut back), (mut answer, mut incoming)) =
            (ends.0.expect("connects"), ends.1.expect("accepts"));
        let long: Vec<u8> = (0..MESSAGE_MOST).map(|at| ((at * at) >> 7) as u8).collect();
        let writer = thread::spawn(move || {
            out.send(b"")
                .and_then(|()| out.send(b"hello"))
                .and_then(|()| out.send(&long))
                .expect("sends");
            out.flush().expect("sends");
            (out, long)
        });
        let mut next = || loop {
            if let Some(message) = incoming.receive().expect("comes") {
                return message;
            }
        };
        assert_eq!((next(), next()), (Vec::new(), b"hello".to_vec()));
        let message = next();
        let (out, long) = writer.join().expect("no panic");
        assert!(message == long, "the long message differs");
        answer.send(b"bye").and_then(|()| answer.flush()).expect("sends");
        assert_eq!(back.receive().expect("comes"), Some(b"bye".to_vec()));
        assert_eq!(out.sent(), incoming.received());
        out.close();
        assert!(matches!(incoming.receive(), Err(TransferError::Closed { .. })));
    }

    #[test]
    fn ends_that_agree_talk() {
        talks(meet(Security::Plain, Security::Plain));
        talks(meet(shared(b"0123456789abcdef"), shared(b"0123456789abcdef")));
    }

    fn hosts(folder: &std::path::Path, senders: &[PublicKey], ask: Option<bool>) -> Security {
        let identity = Identity::open(folder).expect("opens");
        let peers = match ask {
            None => Peers::authorized(folder, senders).expect("reads"),
            Some(answer) => Peers::Known {
                file: folder.join("known_hosts"),
                host: "receiver:1".into(),
                ask: Box::new(move |_| answer),
            },
        };
        Security::Hosts { identity, peers }
    }

    #[test]
    fn hosts_that_know_each_other_talk() {
        let (a, b) =
            (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let key = Identity::open(a.path()).expect("opens").public();
        let ends = meet(hosts(a.path(), &[], Some(false)), hosts(b.path(), &[key], None));
        let (sender, _) = ends;
        assert!(sender.expect_err("an unknown receiver").to_string().contains("--accept-new"));
        talks(meet(hosts(a.path(), &[], Some(true)), hosts(b.path(), &[key], None)));
        talks(meet(hosts(a.path(), &[], Some(false)), hosts(b.path(), &[key], None)));
        let (sender, receiver) =
            meet(hosts(a.path(), &[], Some(false)), hosts(b.path(), &[], None));
        let error = receiver.expect_err("an unknown sender").to_string();
        assert!(error.contains(&key.to_string()), "{error}");
        // It learns why by the first message.
        let (_, mut incoming) = sender.expect("shakes hands");
        let message = incoming.receive().expect("comes").expect("comes");
        assert!(String::from_utf8_lossy(&message).contains("authorized_keys"));
    }

    #[test]
    fn wrong_keys_are_named_at_both_ends() {
        let (sender, receiver) = meet(shared(b"0123456789abcdef"), shared(b"0123456789abcdeX"));
        for error in [sender.expect_err("wrong"), receiver.expect_err("wrong")] {
            assert!(error.to_string().contains("different keys"), "{error}");
        }
    }

    #[test]
    fn ends_that_want_otherwise_are_told() {
        let (sender, receiver) = meet(Security::Plain, shared(b"0123456789abcdef"));
        assert!(sender.expect_err("differs").to_string().contains("--key"));
        assert!(receiver.expect_err("differs").to_string().contains("--key"));
        let (sender, receiver) = meet(shared(b"0123456789abcdef"), Security::Plain);
        assert!(sender.expect_err("differs").to_string().contains("insecure-plain"));
        assert!(receiver.is_err());
    }

    #[test]
    fn what_was_changed_on_the_way_is_refused() {
        let (sender, receiver) = meet(shared(b"0123456789abcdef"), shared(b"0123456789abcdef"));
        let ((mut out, _back), (_answer, mut incoming)) =
            (sender.expect("connects"), receiver.expect("accepts"));
        let mut wire = Vec::new();
        seal(&out.sealer, &mut out.nonce, b"\x01\0\0\0x", &mut wire).expect("seals");
        wire[6] ^= 1;
        out.stream.write_all(&wire).expect("writes");
        assert!(matches!(incoming.receive(), Err(TransferError::Protocol(_))));
    }
}
