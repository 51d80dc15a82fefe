//! Opening: every call that needs privilege, in the order that keeps the books exact.

use libc::tpacket_req3;
use nix::errno::Errno;

use super::ring::BlockRing;
use super::spec::{AfPacketSpec, Fanout};
use crate::link::Link;
use crate::packet_socket::{CallError, PacketSocket};
use crate::receivers::{Framing, ReceiveError};

/// Headroom before each frame, for the VLAN tag that is put back.
const RESERVE: u32 = 4;

/// A socket that receives into its ring.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) socket: PacketSocket,
    pub(super) ring: BlockRing,
    pub(super) index: u32,
    pub(super) framing: Framing,
    /// What was asked for and not given.
    pub(super) notes: Vec<String>,
}

/// Opens the socket with its ring and starts it.
///
/// The socket is of protocol 0 until its ring stands, and refuses every frame (by a filter,
/// before the kernel counts it) until it has joined its fanout group: so the first frame that
/// is counted is the first that lies in the ring.
pub(super) fn open(spec: &AfPacketSpec) -> Result<Opened, ReceiveError> {
    let link = Link::find_up(&spec.interface)?;
    spec.check(&link)?;
    let framing = link.framing.ok_or_else(|| ReceiveError::Unsupported {
        what: format!("{} carries neither Ethernet frames nor bare IP packets", link.name),
        fix: "name another interface: ip -br link".to_owned(),
    })?;
    let socket = PacketSocket::open(&spec.interface)?;
    let mut notes = Vec::new();
    let version = libc::tpacket_versions::TPACKET_V3 as i32;
    socket.set(libc::SOL_PACKET, libc::PACKET_VERSION, &version, "choosing TPACKET_V3")?;
    socket.set(libc::SOL_PACKET, libc::PACKET_RESERVE, &RESERVE, "reserving headroom")?;
    if let Err(errno) = socket.try_set(libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &1i32) {
        notes.push(format!("frames sent by this host are received too: {errno}"));
    }
    let ring = map_ring(&socket, spec, &mut notes)?;
    socket.accept_at_most(0).map_err(|errno| filter_error(&socket, errno))?;
    socket.bind(&link, libc::ETH_P_ALL as u16)?;
    if let Some(fanout) = spec.fanout {
        join(&socket, fanout)?;
    }
    if spec.promiscuous {
        promiscuous(&socket, &link)?;
    }
    let started = match spec.snap_bytes {
        Some(bytes) => socket.accept_at_most(bytes),
        None => socket.accept_all(),
    };
    started.map_err(|errno| filter_error(&socket, errno))?;
    Ok(Opened { socket, ring, index: link.index, framing, notes })
}

fn filter_error(socket: &PacketSocket, errno: Errno) -> CallError {
    CallError::new(format!("setting the socket filter on {}", socket.interface()), errno, "")
}

fn map_ring(
    socket: &PacketSocket,
    spec: &AfPacketSpec,
    notes: &mut Vec<String>,
) -> Result<BlockRing, CallError> {
    // In version 3 frames have no fixed size: this one only has to divide the block.
    let frame = 4096;
    let request = tpacket_req3 {
        tp_block_size: spec.block_bytes,
        tp_block_nr: spec.blocks,
        tp_frame_size: frame,
        tp_frame_nr: spec.block_bytes / frame * spec.blocks,
        tp_retire_blk_tov: spec.retire_ms,
        tp_sizeof_priv: 0,
        tp_feature_req_word: 0,
    };
    socket.try_set(libc::SOL_PACKET, libc::PACKET_RX_RING, &request).map_err(|errno| {
        let doing = format!(
            "making a ring of {} blocks of {} bytes on {}",
            spec.blocks,
            spec.block_bytes,
            socket.interface()
        );
        let fix = if errno == Errno::ENOMEM { "ask for fewer or smaller blocks" } else { "" };
        CallError::new(doing, errno, fix)
    })?;
    let (map, refused) = socket.map(spec.ring_bytes() as usize)?;
    if let Some(errno) = refused {
        notes.push(format!(
            "the ring is not locked into memory ({errno}); raise the limit (ulimit -l) or grant \
             CAP_IPC_LOCK"
        ));
    }
    Ok(BlockRing::new(map, spec.blocks, spec.block_bytes))
}

fn join(socket: &PacketSocket, fanout: Fanout) -> Result<(), CallError> {
    let option = fanout.option();
    socket.try_set(libc::SOL_PACKET, libc::PACKET_FANOUT, &option).map_err(|errno| {
        let doing = format!(
            "joining fanout group {} ({:?}) on {}",
            fanout.group,
            fanout.mode,
            socket.interface()
        );
        let fix = match errno {
            Errno::EINVAL | Errno::EALREADY => {
                "another program may use this group otherwise: choose another number"
            }
            Errno::ENOSPC => "the group is full: choose another number",
            _ => "",
        };
        CallError::new(doing, errno, fix)
    })
}

fn promiscuous(socket: &PacketSocket, link: &Link) -> Result<(), CallError> {
    let request = libc::packet_mreq {
        mr_ifindex: link.index.cast_signed(),
        mr_type: libc::PACKET_MR_PROMISC as u16,
        mr_alen: 0,
        mr_address: [0; 8],
    };
    socket.set(libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &request, "asking for all frames")
}
