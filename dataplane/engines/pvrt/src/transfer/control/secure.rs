//! The handshake that begins a connection.
//!
//! Each end says eight bytes in the clear: `PFST`, its version (u16), how it wants to be sure of
//! the other ([`Security`]) and 0, or from the receiver why it refuses. They are the prologue of a
//! Noise handshake: `NNpsk0` with a shared key, `XX` with host keys. Handshake messages follow
//! their length (u16); a length of 0 says that the key is wrong.

use std::io::{self, Read, Write};
use std::sync::Arc;

use snow::{Builder, HandshakeState, StatelessTransportState};

use super::keys::{Identity, Peers, PublicKey, SharedKey};
use crate::transfer::error::TransferError;

/// Version of the protocol: of the control messages, and of what they mean for frames.
pub const VERSION: u16 = 1;
pub(super) const HOSTS_PATTERN: &str = "Noise_XX_25519_ChaChaPoly_BLAKE2s";
const SHARED_PATTERN: &str = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s";
const MAGIC: [u8; 4] = *b"PFST";
/// Longest handshake message.
const MESSAGE_MOST: usize = 512;
const FAIRLY: u8 = 0;
const OTHERWISE: u8 = 1;

/// How an end is sure of the other.
#[derive(Debug)]
pub enum Security {
    /// Not at all: nothing is encrypted. For trusted links only.
    Plain,
    /// Both have the same secret.
    Shared(SharedKey),
    /// Each has a key that the other knows.
    Hosts {
        /// Own keys.
        identity: Identity,
        /// The other's.
        peers: Peers,
    },
}

impl Security {
    const fn number(&self) -> u8 {
        match self {
            Self::Plain => 0,
            Self::Shared(_) => 1,
            Self::Hosts { .. } => 2,
        }
    }

    /// Whether it encrypts.
    #[must_use]
    pub const fn encrypts(&self) -> bool {
        !matches!(self, Self::Plain)
    }
}

/// What seals the records of both directions; none in the clear.
pub(super) type Sealer = Option<Arc<StatelessTransportState>>;

fn greeting(security: &Security, last: u8) -> [u8; 8] {
    let [low, high] = VERSION.to_le_bytes();
    let [a, b, c, d] = MAGIC;
    [a, b, c, d, low, high, security.number(), last]
}

fn hear(stream: &mut impl Read) -> Result<[u8; 8], TransferError> {
    let mut theirs = [0; 8];
    stream.read_exact(&mut theirs).map_err(|error| lost("greeting it", error))?;
    if theirs[..4] != MAGIC {
        return Err(TransferError::Protocol("it is no pfs send or pfs recv"));
    }
    let version = u16::from_le_bytes([theirs[4], theirs[5]]);
    if version != VERSION {
        return Err(TransferError::Version { theirs: version, ours: VERSION });
    }
    Ok(theirs)
}

/// A failed read or write of the connection, while `doing` something.
pub(super) fn lost(doing: &'static str, error: io::Error) -> TransferError {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut, UnexpectedEof, WouldBlock,
    };
    match error.kind() {
        UnexpectedEof | ConnectionReset | BrokenPipe | ConnectionAborted => {
            TransferError::Closed { doing }
        }
        WouldBlock | TimedOut => {
            TransferError::Silent { doing, seconds: super::PATIENCE.as_secs() }
        }
        _ => TransferError::io(doing, error),
    }
}

fn says(stream: &mut impl Write, bytes: &[u8]) -> Result<(), TransferError> {
    stream
        .write_all(bytes)
        .and_then(|()| stream.flush())
        .map_err(|error| lost("greeting it", error))
}

/// The sender's side.
///
/// # Errors
/// When the receiver is no pfs, of another version, wants another [`Security`], or has another key.
pub(super) fn connect(
    stream: &mut (impl Read + Write),
    security: &Security,
) -> Result<Sealer, TransferError> {
    let ours = greeting(security, 0);
    says(stream, &ours)?;
    let theirs = hear(stream)?;
    if theirs[7] != FAIRLY {
        return Err(otherwise(theirs[6]));
    }
    let Some(state) = handshake(security, &ours, true)? else { return Ok(None) };
    let mut noise = Handshake { stream, state };
    match security {
        Security::Plain => return Ok(None),
        Security::Shared(_) => {
            noise.write()?;
            noise.read()?;
        }
        Security::Hosts { peers, .. } => {
            noise.write()?;
            noise.read()?;
            peers.check(noise.remote()?)?;
            noise.write()?;
        }
    }
    noise.finish()
}

/// The receiver's side. Gives the sender's key where there is one; it is not yet checked, so that a
/// refusal can be said in words.
///
/// # Errors
/// As [`connect`].
pub(super) fn accept(
    stream: &mut (impl Read + Write),
    security: &Security,
) -> Result<(Sealer, Option<PublicKey>), TransferError> {
    let theirs = hear(stream)?;
    if theirs[6] != security.number() || theirs[7] != 0 {
        says(stream, &greeting(security, OTHERWISE))?;
        return Err(TransferError::Key {
            why: format!(
                "a sender wants {}, this receiver {}",
                name(theirs[6]),
                name(security.number())
            ),
            fix: "start both with --key, or both without".into(),
        });
    }
    says(stream, &greeting(security, FAIRLY))?;
    let Some(state) = handshake(security, &theirs, false)? else { return Ok((None, None)) };
    let mut noise = Handshake { stream, state };
    noise.read()?;
    noise.write()?;
    let mut key = None;
    if let Security::Hosts { .. } = security {
        noise.read()?;
        key = Some(noise.remote()?);
    }
    Ok((noise.finish()?, key))
}

const fn name(number: u8) -> &'static str {
    match number {
        0 => "no encryption (--insecure-plain)",
        1 => "a shared key (--key)",
        2 => "host keys",
        _ => "what this version does not know",
    }
}

fn otherwise(theirs: u8) -> TransferError {
    TransferError::Key {
        why: format!("the receiver wants {}", name(theirs)),
        fix: match theirs {
            0 => "send with --insecure-plain, on a trusted link only; better start pfs recv without it",
            1 => "send with --key and the file that pfs recv has",
            _ => "send without --key and --insecure-plain",
        }
        .into(),
    }
}

fn handshake(
    security: &Security,
    prologue: &[u8],
    initiator: bool,
) -> Result<Option<HandshakeState>, TransferError> {
    let builder =
        |pattern: &str| pattern.parse().map(Builder::new).and_then(|b| b.prologue(prologue));
    let builder = match security {
        Security::Plain => return Ok(None),
        Security::Shared(key) => builder(SHARED_PATTERN).and_then(|b| b.psk(0, key.bytes())),
        Security::Hosts { identity, .. } => {
            builder(HOSTS_PATTERN).and_then(|b| b.local_private_key(identity.private()))
        }
    };
    let state = builder.and_then(|builder| {
        if initiator { builder.build_initiator() } else { builder.build_responder() }
    });
    state
        .map(Some)
        .map_err(|error| TransferError::io("beginning a handshake", io::Error::other(error)))
}

struct Handshake<'a, S> {
    stream: &'a mut S,
    state: HandshakeState,
}

fn wrong_key() -> TransferError {
    TransferError::Key {
        why: "the two ends have different keys".into(),
        fix: "give both the same --key file".into(),
    }
}

impl<S: Read + Write> Handshake<'_, S> {
    fn write(&mut self) -> Result<(), TransferError> {
        let mut message = [0; MESSAGE_MOST];
        let length = self
            .state
            .write_message(&[], &mut message[2..])
            .map_err(|error| TransferError::io("writing a handshake", io::Error::other(error)))?;
        message[..2].copy_from_slice(&(length as u16).to_le_bytes());
        says(self.stream, &message[..2 + length])
    }

    fn read(&mut self) -> Result<(), TransferError> {
        let mut length = [0; 2];
        let hear = |error| lost("shaking hands", error);
        self.stream.read_exact(&mut length).map_err(hear)?;
        let length = usize::from(u16::from_le_bytes(length));
        if length == 0 {
            return Err(wrong_key());
        }
        if length > MESSAGE_MOST {
            return Err(TransferError::Protocol("its handshake is too long"));
        }
        let (mut message, mut payload) = ([0; MESSAGE_MOST], [0; MESSAGE_MOST]);
        self.stream.read_exact(&mut message[..length]).map_err(hear)?;
        if self.state.read_message(&message[..length], &mut payload).is_err() {
            // Should the other end be gone already, it has no use for the reason.
            let _ = says(self.stream, &[0, 0]);
            return Err(wrong_key());
        }
        Ok(())
    }

    fn remote(&self) -> Result<PublicKey, TransferError> {
        let key = self.state.get_remote_static().and_then(|key| key.try_into().ok());
        key.map(PublicKey).ok_or(TransferError::Protocol("its handshake has no key"))
    }

    fn finish(self) -> Result<Sealer, TransferError> {
        let state = self.state.into_stateless_transport_mode();
        let state = state
            .map_err(|error| TransferError::io("ending a handshake", io::Error::other(error)))?;
        Ok(Some(Arc::new(state)))
    }
}
