//! Passing regions to another process over a Unix socket.
//!
//! A memfd has no name: its descriptor goes over a socket (`SCM_RIGHTS`), and the receiver maps
//! the same pages. A region in a hugetlbfs may instead be opened by path, with
//! [`Region::open_path`].

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg,
};

use crate::{Region, RegionError};

/// Most regions in one message.
pub const MOST_REGIONS: usize = 16;

/// Regions that could not be passed on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// The socket failed.
    #[error("passing regions over a Unix socket: {0}; see that the other process still runs")]
    Socket(#[from] std::io::Error),
    /// The message is not what [`send_regions`] sends.
    #[error("receiving regions: {0}; connect to the socket of a process of the same build")]
    Message(&'static str),
    /// A received descriptor is no region.
    #[error(transparent)]
    Region(#[from] RegionError),
}

/// Sends the descriptors of 1 to [`MOST_REGIONS`] regions, in order.
///
/// # Errors
/// [`AttachError::Message`] for another number; [`AttachError::Socket`] when the socket fails.
pub fn send_regions(socket: &UnixStream, regions: &[&Region]) -> Result<(), AttachError> {
    if regions.is_empty() || regions.len() > MOST_REGIONS {
        return Err(AttachError::Message("1 to 16 regions go into a message"));
    }
    let fds: Vec<_> = regions.iter().map(|region| region.as_fd().as_raw_fd()).collect();
    let count = [regions.len() as u8];
    let rights = [ControlMessage::ScmRights(&fds)];
    sendmsg::<()>(
        socket.as_raw_fd(),
        &[IoSlice::new(&count)],
        &rights,
        MsgFlags::MSG_NOSIGNAL,
        None,
    )
    .map_err(std::io::Error::from)?;
    Ok(())
}

/// Receives what [`send_regions`] sent, and maps it.
///
/// # Errors
/// When the socket ends or fails, the message is another one, or a descriptor is no region of
/// ours (unsealed, empty). Descriptors received up to there are closed.
pub fn receive_regions(socket: &UnixStream) -> Result<Vec<Region>, AttachError> {
    let mut count = [0u8];
    let mut parts = [IoSliceMut::new(&mut count)];
    let mut space = nix::cmsg_space!([std::os::fd::RawFd; MOST_REGIONS]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message =
        recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags)
            .map_err(std::io::Error::from)?;
    let cut = message.flags.contains(MsgFlags::MSG_CTRUNC);
    let bytes = message.bytes;
    let mut fds = Vec::new();
    for part in message.cmsgs().map_err(std::io::Error::from)? {
        if let ControlMessageOwned::ScmRights(received) = part {
            // SAFETY: the kernel has just made these descriptors, for this call alone.
            fds.extend(received.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    if bytes == 0 {
        return Err(AttachError::Message("the socket ended"));
    }
    if cut || fds.is_empty() || fds.len() != usize::from(count[0]) {
        return Err(AttachError::Message(
            "the message does not hold the regions that it announces",
        ));
    }
    Ok(fds.into_iter().map(Region::open_fd).collect::<Result<_, _>>()?)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::{RegionRequest, spsc::MappedRing};

    #[test]
    fn regions_arrive_in_order_and_are_the_same_memory() {
        let (ours, theirs) = UnixStream::pair().expect("socket pair");
        let regions: Vec<_> = (1..=MOST_REGIONS as u64)
            .map(|pages| Region::create(&RegionRequest::new(pages * 4096)).expect("region"))
            .collect();
        let ring = MappedRing::<u64>::create(&regions[2].view(), 0, 16).expect("fits");
        send_regions(&ours, &regions.iter().collect::<Vec<_>>()).expect("sent");
        let received = receive_regions(&theirs).expect("received");
        let bytes = |regions: &[Region]| {
            regions.iter().map(|region| region.granted().bytes).collect::<Vec<_>>()
        };
        assert_eq!(bytes(&received), bytes(&regions));
        ring.producer().expect("free").try_push(5).expect("room");
        let same = MappedRing::<u64>::open(&received[2].view(), 0).expect("same ring");
        assert_eq!(same.consumer().expect("free").pop(), Some(5));
    }

    #[test]
    fn messages_of_another_kind_are_errors() {
        let (mut ours, theirs) = UnixStream::pair().expect("socket pair");
        assert!(matches!(send_regions(&ours, &[]), Err(AttachError::Message(_))));
        ours.write_all(b"\x01").expect("written");
        assert!(matches!(receive_regions(&theirs), Err(AttachError::Message(_))));
        let file = tempfile::tempfile().expect("temporary file");
        let fds = [file.as_raw_fd()];
        let rights = [ControlMessage::ScmRights(&fds)];
        let flags = MsgFlags::empty();
        sendmsg::<()>(ours.as_raw_fd(), &[IoSlice::new(&[1])], &rights, flags, None).expect("sent");
        assert!(matches!(receive_regions(&theirs), Err(AttachError::Region(_))));
        drop(ours);
        assert!(matches!(receive_regions(&theirs), Err(AttachError::Message("the socket ended"))));
    }
}
