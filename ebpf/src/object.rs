//! The committed object: the compiled program, and the names in it.

/// The ELF object of `bpf/pfs_xdp.bpf.c`, as `just ebpf` builds it; aligned for the ELF reader.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!("bpf/pfs_xdp.bpf.o");

/// Which of the object's two programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Variant {
    /// Takes frames over several buffers: needed for an MTU beyond a page. Linux 5.18.
    Frags,
    /// Takes frames in one buffer only. Linux 5.10.
    Single,
}

impl Variant {
    /// The program's name, in the object and in the kernel.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Frags => "pfs_xdp_frags",
            Self::Single => "pfs_xdp",
        }
    }
}

/// Whether a program of this name is ours.
pub(crate) fn is_ours(name: &str) -> bool {
    name == Variant::Frags.name() || name == Variant::Single.name()
}
