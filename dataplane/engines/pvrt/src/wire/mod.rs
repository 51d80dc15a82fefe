//! Windows as frames, and frames back into a file.
//!
//! ```text
//! Window ─► body ─► Framer ─► frames ─ ─ ─ ► Lane ─► body ─► rebuild ─► Destination
//!                                              └ Transfer: what is done, what is missing
//! ```
//!
//! A window travels in one of three ways: [`Kind::Direct`], its bytes as they are, which the receiver
//! puts where they belong frame by frame; [`Kind::Part`], its [`body`] (references, and raw bytes
//! stored or compressed) over several frames; [`Kind::Pack`], whole bodies of one window or many in
//! one frame. Order, loss and duplicates do not matter: what is missing is asked for again.

pub mod assembly;
pub mod body;
mod folder;
pub mod frame;
mod framer;
pub mod fuzzing;
mod seal;
mod varint;
pub mod wanted;

pub use assembly::{
    Destination, DestinationError, Filled, HeldSpace, Lane, LaneCounters, LaneSettings, Progress,
    Quantity, Transfer, TransferError, TransferSpec, Transfers, make_room, window_digest,
};
pub use body::{BodyError, BodyWriter, Check, Dictionary, Pack};
pub use folder::{Ended, Folder, FolderError};
pub use frame::{FrameError, Header, Kind};
pub use framer::{Framer, Payload};
pub use seal::{Cipher, Key};
pub use wanted::Wanted;
