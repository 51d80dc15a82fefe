//! The XDP program on the interface, shared by its receivers, and each one's door in it.

use std::os::fd::{BorrowedFd, RawFd};
use std::sync::Arc;

use pfs_ebpf::rules::XdpRule;
use pfs_ebpf::{Attached, XdpGranted};

use super::spec::AfXdpSpec;
use crate::counters::AfXdpCounters;
use crate::link::Link;
use crate::receivers::ReceiveError;

/// The program on an interface. It is detached when the last handle goes, receivers included.
#[derive(Debug)]
pub struct XdpAttachment {
    attached: Attached,
    notes: Vec<String>,
}

impl XdpAttachment {
    /// Attaches the program for `queues` of `link`.
    pub(super) fn attach(
        spec: &AfXdpSpec,
        link: &Link,
        queues: &[u32],
        rules: &[XdpRule],
    ) -> Result<Self, ReceiveError> {
        let attached = pfs_ebpf::load(&link.name, spec.mode, rules)?;
        let mut notes = attached.granted().notes.clone();
        let left: Vec<_> = (0..link.rx_queues)
            .filter(|queue| !queues.contains(queue))
            .map(|q| q.to_string())
            .collect();
        if !left.is_empty() {
            notes.push(format!(
                "packets of queue {} pass to the kernel and are in no receiver's books",
                left.join(", ")
            ));
        }
        Ok(Self { attached, notes })
    }

    /// The program: its rules, its counters of any queue.
    #[must_use]
    pub const fn attached(&self) -> &Attached {
        &self.attached
    }

    /// What the loader was granted.
    #[must_use]
    pub const fn granted(&self) -> &XdpGranted {
        self.attached.granted()
    }
}

impl Drop for XdpAttachment {
    /// Detaches by command: closing the link alone would leave the program on as long as a
    /// process just forked, not yet at its exec, holds a copy of the descriptor.
    fn drop(&mut self) {
        if let Err(error) = self.attached.detach() {
            tracing::warn!("{error}");
        }
    }
}

/// One queue's entry in the program's socket map. Dropped, the entry is cleared.
#[derive(Debug)]
pub(super) struct Gate {
    attachment: Arc<XdpAttachment>,
    queue: u32,
}

impl Gate {
    pub(super) const fn new(attachment: Arc<XdpAttachment>, queue: u32) -> Self {
        Self { attachment, queue }
    }

    pub(super) const fn queue(&self) -> u32 {
        self.queue
    }

    /// `native` or `generic`, as the kernel reports it.
    pub(super) fn mode(&self) -> String {
        self.attachment.granted().mode.to_string()
    }

    pub(super) fn notes(&self) -> &[String] {
        &self.attachment.notes
    }

    /// Lets the program redirect to the socket `fd`, which is bound to this queue.
    pub(super) fn open(&self, fd: RawFd) -> Result<(), ReceiveError> {
        // SAFETY: the caller holds the socket open while it calls.
        let socket = unsafe { BorrowedFd::borrow_raw(fd) };
        Ok(self.attachment.attached.set_socket(self.queue, socket)?)
    }

    /// Redirects no more. A packet that the program is handling at this moment may still come.
    pub(super) fn close(&self) {
        if let Err(error) = self.attachment.attached.clear_socket(self.queue) {
            tracing::warn!(queue = self.queue, "clearing the AF_XDP socket: {error}");
        }
    }

    /// Reads the program's totals of this queue; they stay as they were when that fails.
    pub(super) fn read(&self, into: &mut AfXdpCounters) {
        let Ok(counts) = self.attachment.attached.counters(self.queue) else { return };
        into.redirected = counts.redirect.packets;
        into.no_socket = counts.no_socket.packets;
        into.passed = counts.pass.packets;
        into.dropped_by_rule = counts.drop.packets;
        into.unmatched = counts.unmatched.packets;
        into.malformed = counts.malformed.packets;
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.close();
    }
}
