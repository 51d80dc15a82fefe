//! Streams: which payload continues which.
//!
//! A stream is one direction of a flow. Its key is the addresses, ports, protocol and VLAN tags of
//! the headers that lie before the payload in the same frame, compared in full: the flow hash of a
//! descriptor is the same for both directions and for flows that collide, and decides nothing
//! here.

mod key;
mod message;
mod table;
mod tcp;

pub use key::{Endpoints, Located, NoStream, StreamKey, locate};
pub(in crate::ops) use message::Message;
pub use table::{Ended, FlowTable, Place};
pub use tcp::{TcpAdvance, TcpHeader, TcpTrack};
