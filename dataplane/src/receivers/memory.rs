//! The `memory` backend: frames that lie ready, generated or from a capture.
//!
//! Packet n is slot n modulo the number of slots, whatever order frames come back in: the
//! sequence of packets depends on the spec alone.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use pfs_rings::{Desc, Frame, FramePool, PageWish, RegionRequest, RegionView};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pcap::{CaptureFile, Reader, describe};
use super::{Batch, Framing, Granted, Receive, ReceiveError, errors};
use crate::counters::SourceCounters;
use crate::transmitters::frames::GenerateSpec;

/// Frames in memory as a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemorySpec {
    /// Where the frames come from.
    pub content: MemoryContent,
    /// Packets to offer in all; absent: until stopped, or by the capture's `loops`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packets: Option<u64>,
    /// Whether each packet is handed out with its first bytes again, at the price of a copy.
    /// Needed when a program writes to the payload; without it, such a program finds its own
    /// output when the sequence comes round.
    #[serde(default)]
    pub restore: bool,
    /// Pages that the frames lie in.
    #[serde(default)]
    pub pages: PageWish,
}

/// Content of a [`MemorySpec`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MemoryContent {
    /// UDP frames made from a seed.
    Generated(GenerateSpec),
    /// The packets of a capture, all of it held in memory.
    Capture {
        /// The capture: pcap or pcapng, not packed.
        path: PathBuf,
        /// How often it is offered; 0: until stopped.
        #[serde(default = "one")]
        loops: u64,
    },
}

const fn one() -> u64 {
    1
}

impl MemorySpec {
    /// Generated frames, `packets` of them or without end.
    #[must_use]
    pub fn generated(generate: GenerateSpec, packets: Option<u64>) -> Self {
        let content = MemoryContent::Generated(generate);
        Self { content, packets, restore: false, pages: PageWish::default() }
    }

    /// The capture at `path`, `loops` times; 0: until stopped.
    #[must_use]
    pub fn capture(path: impl Into<PathBuf>, loops: u64) -> Self {
        let content = MemoryContent::Capture { path: path.into(), loops };
        Self { content, packets: None, restore: false, pages: PageWish::default() }
    }
}

/// One packet that lies ready.
#[derive(Debug)]
struct Slot {
    /// Its frame token is the slot's own index.
    desc: Desc,
    wire_len: u32,
    /// The slot's frame while it is not on loan.
    home: Option<Frame>,
}

/// Receives from memory. Lossless: waits while the next packet's slot is on loan.
#[derive(Debug)]
pub struct MemoryReceiver {
    slots: Box<[Slot]>,
    next: usize,
    left: u64,
    view: RegionView,
    /// The region as it was, when packets are to be restored.
    pristine: Option<Box<[u8]>>,
    pool: FramePool,
    framing: Framing,
    granted: Granted,
    polled: u64,
    offered: u64,
}

struct Content {
    view: RegionView,
    packets: Vec<(Desc, u32)>,
    framing: Framing,
    from: String,
    total: u64,
    notes: Vec<String>,
}

impl MemoryReceiver {
    /// Builds all frames of `spec`.
    ///
    /// # Errors
    /// When a size is out of range, there is no memory, or the capture is broken or empty.
    pub fn open(spec: &MemorySpec) -> Result<Self, ReceiveError> {
        let content = match &spec.content {
            MemoryContent::Generated(generate) => generated(generate, spec.pages)?,
            MemoryContent::Capture { path, loops } => {
                let file = CaptureFile::open(path, spec.pages, u64::MAX)?;
                capture(&file, *loops)?
            }
        };
        let mut pool = FramePool::new(content.packets.len() as u32);
        let slots = content.packets.into_iter().map(|(desc, wire_len)| {
            let home = pool.take();
            debug_assert_eq!(home.as_ref().map(Frame::index), Some(desc.frame));
            Slot { desc, wire_len, home }
        });
        let slots = slots.collect();
        let view = content.view;
        let pristine = spec.restore.then(|| {
            // SAFETY: the whole region, of which nothing is lent yet.
            unsafe { std::slice::from_raw_parts(view.base().as_ptr(), view.len()) }.into()
        });
        let granted = Granted {
            backend: "memory".into(),
            mode: if spec.restore { "restored" } else { "in place" }.into(),
            from: content.from,
            queue: None,
            frames: pool.capacity(),
            region_bytes: view.len() as u64,
            notes: content.notes,
        };
        Ok(Self {
            slots,
            next: 0,
            left: spec.packets.unwrap_or(u64::MAX).min(content.total),
            view,
            pristine,
            pool,
            framing: content.framing,
            granted,
            polled: 0,
            offered: 0,
        })
    }

    /// Puts the first bytes back under `desc`, which is not lent.
    #[inline]
    fn restore(&self, desc: &Desc) {
        let Some(pristine) = &self.pristine else { return };
        let start = desc.offset as usize;
        // SAFETY: the slot's frame is at home, so its span is not lent.
        if let Some(bytes) = unsafe { self.view.bytes_mut(desc) } {
            bytes.copy_from_slice(&pristine[start..start + desc.len as usize]);
        }
    }
}

/// Lays the frames of `generate` out, each from a cache line's start.
fn generated(generate: &GenerateSpec, pages: PageWish) -> Result<Content, ReceiveError> {
    let size =
        generate.frame_size.check().map_err(|error| errors::unsupported(error.to_string(), ""))?;
    let lens = (0..generate.count()).map(|index| size.len_of(index.into()));
    let bytes = lens.clone().map(|len| len.next_multiple_of(64) as u64).sum();
    let mut notes = Vec::new();
    let request = RegionRequest::new(bytes).with_pages(pages);
    let view = errors::region(&request, "generated frames", &mut notes)?;
    let mut offset = 0;
    let mut packets = Vec::with_capacity(generate.count() as usize);
    for (index, len) in (0..).zip(lens) {
        let desc = Desc {
            offset,
            len: len as u32,
            flags: Desc::SOM | Desc::EOM,
            frame: index,
            ..Desc::default()
        };
        // SAFETY: nobody else has the region yet.
        if let Some(frame) = unsafe { view.bytes_mut(&desc) } {
            generate.write(index.into(), frame);
        }
        packets.push((desc, desc.len));
        offset += len.next_multiple_of(64) as u64;
    }
    let from = format!("generated {size}, {} flows, seed {}", generate.flows, generate.seed);
    Ok(Content { view, packets, framing: Framing::Ethernet, from, total: u64::MAX, notes })
}

/// Indexes the packets of a capture where they lie.
fn capture(file: &CaptureFile, loops: u64) -> Result<Content, ReceiveError> {
    let failed = |error| file.error(error);
    let mut reader = Reader::open(file.bytes()).map_err(failed)?;
    let mut framing = Framing::Ethernet;
    let mut packets = Vec::new();
    while let Some(packet) = reader.next(file.bytes()).map_err(failed)? {
        framing = packet.link.framing();
        let token = u32::try_from(packets.len()).map_err(|_| {
            let what = format!("{} has over 2^32 packets", file.path().display());
            errors::unsupported(what, "use the pcap source")
        })?;
        // SAFETY: the packet was read from this view; nothing is lent yet.
        let desc = unsafe { describe(file.view(), &packet, token) };
        packets.push((desc, packet.wire));
    }
    if packets.is_empty() {
        let what = format!("{}: no packet in the capture", file.path().display());
        return Err(ReceiveError::Malformed { what, at: file.len() });
    }
    let total = if loops == 0 { u64::MAX } else { loops.saturating_mul(packets.len() as u64) };
    Ok(Content {
        view: file.view().clone(),
        packets,
        framing,
        from: file.path().display().to_string(),
        total,
        notes: file.notes().to_vec(),
    })
}

impl Receive for MemoryReceiver {
    fn poll(&mut self, batch: &mut Batch) -> Result<usize, ReceiveError> {
        let want = (batch.room() as u64).min(self.left) as usize;
        let mut added = 0;
        while added < want {
            let slot = &mut self.slots[self.next];
            let Some(frame) = slot.home.take() else { break };
            let (desc, wire_len) = (slot.desc, slot.wire_len);
            self.pool.lend(frame);
            if self.pristine.is_some() {
                self.restore(&desc);
            }
            batch.push(desc, wire_len);
            self.next += 1;
            if self.next == self.slots.len() {
                self.next = 0;
            }
            added += 1;
        }
        self.left -= added as u64;
        self.offered += added as u64;
        self.polled += added as u64;
        Ok(added)
    }

    fn recycle(&mut self, frames: &[u32]) {
        for &token in frames {
            if let Ok(frame) = self.pool.reclaim(token) {
                self.slots[token as usize].home = Some(frame);
            }
        }
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), ReceiveError> {
        if self.left > 0 && self.slots[self.next].home.is_none() {
            thread::sleep(timeout.min(Duration::from_micros(50)));
        }
        Ok(())
    }

    fn counters(&mut self) -> SourceCounters {
        SourceCounters {
            offered: self.offered,
            polled: self.polled,
            refused_tokens: self.pool.refused(),
            ..SourceCounters::default()
        }
    }

    fn granted(&self) -> Granted {
        self.granted.clone()
    }

    fn region(&self) -> RegionView {
        self.view.clone()
    }

    fn framing(&self) -> Framing {
        self.framing
    }

    fn lossless(&self) -> bool {
        true
    }

    fn finished(&self) -> bool {
        self.left == 0
    }

    fn detach(&mut self) {
        self.left = 0;
    }
}
