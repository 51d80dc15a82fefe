//! XDP for `pfs`: the program that steers frames by rule, its committed object, and its loader.
//!
//! [`load`] attaches the program to an interface; [`Attached`] is the handle. Each receive queue
//! that is to be received from is given an AF_XDP socket with [`Program::set_socket`]; frames that
//! a redirect rule matches go there. Everything that no rule selects goes on to the kernel's
//! stack. What exactly a rule matches is written in [`rules`].
//!
//! - The link that holds the program is not pinned: when the process ends, `kill -9` included,
//!   the program is off the interface.
//! - A program of someone else is never replaced. The refusal names it ([`XdpError::Occupied`]).
//! - Needed are CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN (or CAP_SYS_ADMIN for all) at [`load`].
//!   The handle needs none of them later, except CAP_BPF before Linux 5.19 where
//!   `kernel.unprivileged_bpf_disabled` is set.
//! - Kernel: 5.10; 5.18 for frames over several buffers (MTU 9000), and 6.6 for AF_XDP sockets
//!   to take such frames (`XDP_USE_SG`).
//!
//! ```no_run
//! use pfs_ebpf::rules::{PortRange, XdpRule};
//! use pfs_ebpf::{XdpMode, load};
//!
//! let dns = XdpRule { protocol: Some(17), dst_ports: Some(PortRange::one(53)), ..XdpRule::default() };
//! let mut attached = load("eth0", XdpMode::Auto, &[dns])?;
//! println!("{}: {:?}", attached.iface(), attached.granted());
//! println!("{:?}", attached.counters(0)?);
//! attached.detach()?;
//! # Ok::<(), pfs_ebpf::XdpError>(())
//! ```

mod abi;
mod attach;
mod counters;
mod detach;
mod error;
mod host;
mod loader;
mod mapped;
mod netlink;
mod object;
mod owner;
mod program;
pub mod rules;
mod sys;

pub use abi::MAX_QUEUES;
pub use attach::{Attached, XdpGranted, XdpMode, load};
pub use counters::{Count, QueueCounters, RuleCounters};
pub use detach::detach;
pub use error::XdpError;
pub use loader::Loader;
pub use object::{OBJECT, Variant};
pub use owner::{AttachMode, Holder, ProgramInfo, attached_program};
pub use program::{Program, XdpCode};
