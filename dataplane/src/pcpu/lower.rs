//! From ops to steps: which ops share one walk over the bytes.

use super::kernels::{CrcOf, PassState, Shape};
use super::op::{Basis, Op, Scope};

/// One step over a batch, and where its results go.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// The ops that it does, in program order.
    pub(super) ops: Vec<Op>,
    pub(super) work: Work,
}

/// What a step does. Slots are indices of R0..R3.
#[derive(Clone, Debug)]
pub(super) enum Work {
    Pass(Pass),
    Fnv {
        basis: Basis,
        slot: usize,
    },
    FnvChain {
        basis: Basis,
        slot: usize,
    },
    Hist,
    Len {
        slot: usize,
    },
    /// The work of the program's engine of this number; `slot` is the first of its results.
    Engine {
        engine: usize,
        slot: usize,
    },
}

/// A fused pass: `(byte ^ xor) + add`, a count before it, a CRC before or after it.
#[derive(Clone, Debug)]
pub(super) struct Pass {
    pub(super) shape: Shape,
    pub(super) start: PassState,
    pub(super) crc_slot: usize,
    pub(super) count_slot: usize,
}

impl Pass {
    const fn empty() -> Self {
        let shape = Shape { transform: false, store: false, count: false, crc: CrcOf::Nothing };
        Self { shape, start: PassState::new(), crc_slot: 0, count_slot: 0 }
    }

    /// Takes `op` into the pass, after what it does already; false when it does not fit.
    fn absorb(&mut self, op: &Op, slot: usize) -> bool {
        match *op {
            Op::Xor(imm) => self.can_transform() && self.start.add == 0 && self.xor(imm),
            Op::Add(imm) => self.can_transform() && self.add(imm),
            Op::CountEq(imm) if !self.shape.count => {
                self.shape.count = true;
                // The count is taken before the transform: of the byte that becomes `imm`.
                self.start.eq = imm.wrapping_sub(self.start.add) ^ self.start.xor;
                self.count_slot = slot;
                true
            }
            Op::Crc32c(scope) if self.shape.crc == CrcOf::Nothing => {
                self.shape.crc = if self.shape.transform { CrcOf::After } else { CrcOf::Before };
                self.start.chain = scope == Scope::Chain;
                self.crc_slot = slot;
                true
            }
            _ => false,
        }
    }

    fn can_transform(&self) -> bool {
        self.shape.crc != CrcOf::After
    }

    const fn xor(&mut self, imm: u8) -> bool {
        self.shape.transform = true;
        self.start.xor ^= imm;
        true
    }

    const fn add(&mut self, imm: u8) -> bool {
        self.shape.transform = true;
        self.start.add = self.start.add.wrapping_add(imm);
        true
    }
}

/// The steps for `ops`. With `fuse`, neighbours share a pass where one can do both. Without
/// `keeps_payload`, transformed bytes that no later step looks at are not written back.
pub(super) fn lower(ops: &[Op], fuse: bool, keeps_payload: bool) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let (mut free, mut engines) = (0, 0..);
    for op in ops {
        let slot = free;
        free += op.accumulators();
        if fuse
            && let Some(Step { ops, work: Work::Pass(pass) }) = steps.last_mut()
            && pass.absorb(op, slot)
        {
            ops.push(op.clone());
            continue;
        }
        steps.push(Step { ops: vec![op.clone()], work: start(op, slot, &mut engines) });
    }
    let mut read_later = keeps_payload;
    for step in steps.iter_mut().rev() {
        if let Work::Pass(pass) = &mut step.work {
            pass.shape.store = pass.shape.transform && read_later;
        }
        read_later |= !matches!(step.work, Work::Len { .. });
    }
    steps
}

fn start(op: &Op, slot: usize, engines: &mut impl Iterator<Item = usize>) -> Work {
    match *op {
        Op::Fnv64(basis, Scope::Message) => Work::Fnv { basis, slot },
        Op::Fnv64(basis, Scope::Chain) => Work::FnvChain { basis, slot },
        Op::Hist8 => Work::Hist,
        Op::Len => Work::Len { slot },
        Op::Engine(_) => Work::Engine { engine: engines.next().unwrap_or(0), slot },
        Op::Xor(_) | Op::Add(_) | Op::CountEq(_) | Op::Crc32c(_) => {
            let mut pass = Pass::empty();
            let fits = pass.absorb(op, slot);
            debug_assert!(fits, "an empty pass takes any of these");
            Work::Pass(pass)
        }
    }
}
