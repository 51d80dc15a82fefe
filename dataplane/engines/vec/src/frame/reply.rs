//! Outcomes of operations, in replies.

use super::build::{Head, write_frame};
use super::bytes::Bytes;
use super::{Frame, FrameError, HEADER, PUT, REPLY, SEARCH};

/// Bytes of an outcome before what a search adds.
const OUTCOME: usize = 8;
/// Bytes of the share of the exact answer that hits are expected to be.
const SHARE: usize = 4;

/// The share of the exact answer where nothing was measured.
const UNMEASURED: f32 = -1.0;

/// What became of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// Done as asked.
    Done = 0,
    /// There is no collection of that name.
    NoCollection = 1,
    /// The collection does not take it: a wrong dimension, a component that is not finite, no direction.
    Refused = 2,
    /// The hits do not fit a datagram: ask for fewer.
    TooLarge = 3,
    /// The collection failed; its log says how.
    Failed = 4,
    /// An association names a record that is not there.
    NotFound = 5,
}

impl Status {
    fn of(byte: u8) -> Option<Self> {
        const ALL: [Status; 6] = [
            Status::Done,
            Status::NoCollection,
            Status::Refused,
            Status::TooLarge,
            Status::Failed,
            Status::NotFound,
        ];
        ALL.get(usize::from(byte)).copied()
    }
}

/// An outcome as it arrives.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome<'a> {
    /// Kind of the operation, as its first byte was.
    pub kind: u8,
    /// Which operation of the message, from 0.
    pub index: u16,
    /// What became of it.
    pub status: Status,
    /// Share of the exact answer that the hits of a search are expected to be; `None` where nothing was measured.
    pub expected: Option<f32>,
    /// Hits of a search, best first.
    pub hits: Vec<ReplyHit<'a>>,
}

/// A record that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReplyHit<'a> {
    /// Higher for nearer, as the collection's metric says.
    pub score: f32,
    /// Its id.
    pub id: &'a [u8],
}

/// The outcomes of a reply; none of a frame that is no reply.
///
/// # Errors
/// [`FrameError`].
pub fn outcomes<'a>(frame: &Frame<'a>) -> Result<Vec<Outcome<'a>>, FrameError> {
    const SHORT: FrameError = FrameError::OperationShort;
    let (mut body, mut all) = (Bytes(frame.bytes()), Vec::new());
    while frame.is_reply() && !body.0.is_empty() {
        let (kind, status) = (body.u8().ok_or(SHORT)?, body.u8().ok_or(SHORT)?);
        let index = body.u16().ok_or(SHORT)?;
        let len = body.u32().ok_or(SHORT)?;
        let mut bytes = Bytes(body.take(len as usize).ok_or(SHORT)?);
        if !(PUT..=SEARCH).contains(&kind) {
            return Err(FrameError::Kind);
        }
        let status = Status::of(status).ok_or(FrameError::Outcome)?;
        if len > 0 && (kind != SEARCH || status != Status::Done) {
            return Err(FrameError::Outcome);
        }
        let (mut hits, mut expected) = (Vec::new(), None);
        if kind == SEARCH && status == Status::Done {
            let share = bytes.f32().ok_or(SHORT)?;
            if share != UNMEASURED && !(0.0..=1.0).contains(&share) {
                return Err(FrameError::Outcome);
            }
            expected = Some(share).filter(|share| *share != UNMEASURED);
        }
        while !bytes.0.is_empty() {
            let score = bytes.f32().ok_or(SHORT)?;
            let id = usize::from(bytes.u16().ok_or(SHORT)?);
            hits.push(ReplyHit { score, id: bytes.take(id).ok_or(SHORT)? });
        }
        all.push(Outcome { kind, index, status, expected, hits });
    }
    Ok(all)
}

/// Puts outcomes into reply frames.
#[derive(Debug, Default)]
pub struct ReplyBuilder {
    body: Vec<u8>,
    expected: Option<f32>,
    hits: Vec<u8>,
    frame: Vec<u8>,
    most: usize,
}

/// Whom a reply is for: what of a message's frames it repeats.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    stream: u16,
    sender: u64,
    first: u64,
}

impl From<&Frame<'_>> for Asker {
    fn from(frame: &Frame<'_>) -> Self {
        Self { stream: frame.stream, sender: frame.sender, first: frame.first() }
    }
}

impl ReplyBuilder {
    /// From the next frame on, frames of at most `most` bytes (at least a header and an outcome without hits).
    pub fn limit(&mut self, most: usize) {
        self.most = most.clamp(HEADER + OUTCOME + SHARE, HEADER + usize::from(u16::MAX)) - HEADER;
    }

    /// Says of the search whose outcome is pushed next which share of the exact answer its hits are expected to
    /// be, 0 to 1; without it, that nothing was measured.
    pub const fn expect(&mut self, share: Option<f32>) {
        self.expected = share;
    }

    /// Adds a hit to the outcome that is pushed next.
    pub fn hit(&mut self, score: f32, id: &[u8]) {
        self.hits.extend_from_slice(&score.to_le_bytes());
        // Ids of a collection are no longer.
        self.hits.extend_from_slice(&(id.len() as u16).to_le_bytes());
        self.hits.extend_from_slice(id);
    }

    /// Adds the outcome of operation `index` with the hits that were added before. When the frame under way has no
    /// room for it, that one goes to `send` first. Hits that fit no frame become [`Status::TooLarge`]; returns
    /// whether these did.
    pub fn push(
        &mut self,
        to: &Asker,
        (index, kind): (u16, u8),
        status: Status,
        send: impl FnMut(&[u8]),
    ) -> bool {
        let too_large = OUTCOME + SHARE + self.hits.len() > self.most;
        let status = if too_large { Status::TooLarge } else { status };
        let expected = self.expected.take().unwrap_or(UNMEASURED).to_le_bytes();
        let found = kind == SEARCH && status == Status::Done;
        let share: &[u8] = if found { &expected } else { &[] };
        if !found {
            self.hits.clear();
        }
        let bytes = share.len() + self.hits.len();
        if self.body.len() + OUTCOME + bytes > self.most {
            self.finish(to, send);
        }
        self.body.extend_from_slice(&[kind, status as u8]);
        self.body.extend_from_slice(&index.to_le_bytes());
        self.body.extend_from_slice(&(bytes as u32).to_le_bytes());
        self.body.extend_from_slice(share);
        self.body.append(&mut self.hits);
        too_large
    }

    /// Gives what is under way to `send`, unless it is empty.
    pub fn finish(&mut self, to: &Asker, mut send: impl FnMut(&[u8])) {
        if self.body.is_empty() {
            return;
        }
        let head = Head {
            flags: REPLY,
            stream: to.stream,
            sender: to.sender,
            sequence: to.first,
            part: 0,
            step: self.body.len() as u16,
            length: self.body.len() as u32,
        };
        write_frame(&head, &self.body, &mut self.frame);
        self.body.clear();
        send(&self.frame);
    }
}
