//! The ops as their definitions say, byte by byte: what every kernel is tested against.

use crate::pcpu::op::{Op, Scope};
use crate::pcpu::program::{ACCUMULATORS, Program};

/// FNV-1a 64 of `bytes`, from the state `hash`.
#[must_use]
pub fn fnv64(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// CRC-32C of `bytes` that follow those with CRC `crc` (0 for none), bit by bit.
#[must_use]
pub fn crc32c(crc: u32, bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!crc, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 != 0 { 0x82f6_3b78 } else { 0 }
        })
    })
}

/// What a program leaves behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// R0..R3; those that the program does not fill are 0.
    pub r: [u64; ACCUMULATORS],
    /// The histogram, where the program has one.
    pub hist: Option<[u64; 256]>,
}

/// Runs `program` over whole messages, op by op, and transforms them in place. The accumulators
/// of engine ops stay 0.
#[must_use]
pub fn run(program: &Program, messages: &mut [Vec<u8>]) -> Outcome {
    let mut out = Outcome { r: [0; ACCUMULATORS], hist: None };
    let mut next = 0;
    for op in program.ops() {
        let result = step(op, messages, &mut out.hist);
        if op.accumulators() == 1 {
            out.r[next] = result;
        }
        next += op.accumulators();
    }
    out
}

fn step(op: &Op, messages: &mut [Vec<u8>], hist: &mut Option<[u64; 256]>) -> u64 {
    let all = || messages.iter().flatten().copied();
    let sum = |digest: &dyn Fn(&[u8]) -> u64| {
        messages.iter().fold(0u64, |sum, message| sum.wrapping_add(digest(message)))
    };
    match *op {
        Op::Fnv64(basis, Scope::Message) => sum(&|m| fnv64(basis.value(), m)),
        Op::Crc32c(Scope::Message) => sum(&|m| u64::from(crc32c(0, m))),
        Op::Fnv64(basis, Scope::Chain) => fnv64(basis.value(), &all().collect::<Vec<_>>()),
        Op::Crc32c(Scope::Chain) => u64::from(crc32c(0, &all().collect::<Vec<_>>())),
        Op::CountEq(imm) => all().filter(|&byte| byte == imm).count() as u64,
        Op::Len => all().count() as u64,
        Op::Hist8 => {
            let bins = hist.get_or_insert([0; 256]);
            all().for_each(|byte| bins[usize::from(byte)] += 1);
            0
        }
        Op::Xor(imm) => change(messages, |byte| byte ^ imm),
        Op::Add(imm) => change(messages, |byte| byte.wrapping_add(imm)),
        // Engines have oracles of their own.
        Op::Engine(_) => 0,
    }
}

fn change(messages: &mut [Vec<u8>], with: impl Fn(u8) -> u8) -> u64 {
    messages.iter_mut().flatten().for_each(|byte| *byte = with(*byte));
    0
}
