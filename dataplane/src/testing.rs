//! What tests share: a namespace that a host may refuse, frames, and a look at spans.

use pfs_rings::Desc;

use crate::netns;
pub(crate) use crate::netns::VethOptions;
use crate::receivers::Receive;

/// A namespace for one test thread; tests may all call their interfaces `a` and `b`.
#[derive(Debug)]
pub(crate) struct NetNs(netns::NetNs);

impl NetNs {
    /// Enters a fresh namespace, or prints `skipped: <reason>` and gives `None` where the host
    /// does not allow it. `let Some(_ns) = NetNs::enter() else { return };`
    pub(crate) fn enter() -> Option<Self> {
        netns::NetNs::enter().map_err(|reason| println!("skipped: {reason}")).ok().map(Self)
    }

    /// Makes the veth pair `a` and `b`, both up and running.
    ///
    /// # Panics
    /// When a command fails: in a namespace of our own that is a defect, not a lack of rights.
    pub(crate) fn veth_pair(&self, a: &str, b: &str, options: VethOptions) {
        self.0.veth_pair(a, b, options).unwrap();
    }
}

/// Runs `ip` with `arguments` (split at blanks) in the calling thread's namespace.
///
/// # Panics
/// When it fails, with what it printed.
pub(crate) fn ip(arguments: &str) {
    netns::ip(arguments).unwrap();
}

/// Runs a command and gives its standard output, or what went wrong.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    netns::run(program, arguments).map_err(|error| error.to_string())
}

/// A frame of `len` bytes (14 or more) of the experimental EtherType 0x88B5, which no stack
/// answers to; `tag` makes its content its own.
pub(crate) fn frame(len: usize, tag: u32) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5];
    frame.extend(tag.to_be_bytes());
    frame.extend((frame.len()..len.max(frame.len())).map(|at| (at as u32 ^ tag) as u8));
    frame.truncate(len);
    frame
}

/// A copy of the span that `desc`, which is on loan to the caller, names.
pub(crate) fn bytes_of(receiver: &impl Receive, desc: &Desc) -> Vec<u8> {
    let region = receiver.region();
    // SAFETY: on loan to the caller, who has no slice of it: the tests use this function alone.
    unsafe { region.bytes_mut(desc) }.expect("inside the region").to_vec()
}
