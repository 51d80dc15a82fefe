//! What a program must answer, from another implementation, and what it must make of the bytes.

use pfs_dataplane::pcpu::{Op, Program, Results, Scope, oracle};
use pfs_rings::Desc;

use crate::memory::{Buffer, word_at};

/// The answer of one pass over one list.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    program: Program,
    r: [u64; 4],
    hist: Option<Vec<u64>>,
    messages: u64,
    bytes: u64,
    /// What one pass makes of each byte.
    map: [u8; 256],
}

impl Expected {
    /// Runs `program` op by op over the messages of `list` in memory as it was first filled:
    /// `crc32c` by the crate of that name, the rest byte by byte.
    ///
    /// # Errors
    /// When the program has an engine, whose answers these bytes cannot tell.
    pub(super) fn of(program: &Program, buffer: &Buffer, list: &[Desc]) -> Result<Self, String> {
        let mut expected = Self {
            program: program.clone(),
            r: [0; 4],
            hist: None,
            messages: 0,
            bytes: 0,
            map: std::array::from_fn(|byte| byte as u8),
        };
        for op in program.ops() {
            match *op {
                Op::Xor(imm) => expected.map.iter_mut().for_each(|byte| *byte ^= imm),
                Op::Add(imm) => {
                    expected.map.iter_mut().for_each(|byte| *byte = byte.wrapping_add(imm));
                }
                Op::Engine(_) => {
                    return Err(format!(
                        "`{program}` has an engine; pcores runs ops on bytes, `pfs bench op` measures engines"
                    ));
                }
                _ => {}
            }
        }
        let mut chains = Chains::of(program);
        expected.r = chains.0;
        let mut message = Vec::new();
        for desc in list {
            let from = desc.offset as usize;
            message.extend_from_slice(&buffer.bytes()[from..][..desc.len as usize]);
            if desc.flags & Desc::EOM != 0 {
                expected.add(&mut message, &mut chains);
                message.clear();
            }
        }
        Ok(expected)
    }

    /// Adds one message, which is transformed on the way.
    fn add(&mut self, message: &mut [u8], chains: &mut Chains) {
        self.messages += 1;
        self.bytes += message.len() as u64;
        let mut slot = 0;
        for op in self.program.ops() {
            let sum = match *op {
                Op::Crc32c(Scope::Message) => u64::from(crc32c::crc32c(message)),
                Op::Fnv64(basis, Scope::Message) => oracle::fnv64(basis.value(), message),
                Op::Crc32c(Scope::Chain) => {
                    chains.step(slot, |crc| u64::from(crc32c::crc32c_append(crc as u32, message)))
                }
                Op::Fnv64(_, Scope::Chain) => {
                    chains.step(slot, |hash| oracle::fnv64(hash, message))
                }
                Op::CountEq(imm) => message.iter().filter(|&&byte| byte == imm).count() as u64,
                Op::Len => message.len() as u64,
                Op::Hist8 => {
                    let bins = self.hist.get_or_insert_with(|| vec![0; 256]);
                    message.iter().for_each(|&byte| bins[usize::from(byte)] += 1);
                    0
                }
                Op::Xor(imm) => change(message, |byte| byte ^ imm),
                Op::Add(imm) => change(message, |byte| byte.wrapping_add(imm)),
                _ => 0,
            };
            if op.accumulators() == 1 {
                self.r[slot] = self.r[slot].wrapping_add(sum);
            }
            slot += op.accumulators();
        }
    }

    /// Whether `results` are those of the first pass.
    pub(super) fn is_first(&self, results: &Results) -> bool {
        results.r == self.r
            && results.hist == self.hist
            && (results.messages, results.bytes) == (self.messages, self.bytes)
    }

    /// Whether `results` are those of `passes` passes: the accumulators too, where a pass neither
    /// changes bytes nor goes on from where the last one ended.
    pub(super) fn is_after(&self, results: &Results, passes: u64) -> bool {
        let counted =
            (results.messages, results.bytes) == (self.messages * passes, self.bytes * passes);
        let repeats = |op: &Op| {
            !matches!(
                op,
                Op::Xor(_) | Op::Add(_) | Op::Fnv64(_, Scope::Chain) | Op::Crc32c(Scope::Chain)
            )
        };
        if !self.program.ops().iter().all(repeats) {
            return counted;
        }
        let times = |bin: &u64| bin.wrapping_mul(passes);
        counted
            && results.r == self.r.map(|r| times(&r))
            && results.hist == self.hist.as_ref().map(|bins| bins.iter().map(times).collect())
    }

    /// Whether a pass changes bytes.
    pub(super) fn changes(&self) -> bool {
        self.map.iter().enumerate().any(|(byte, &to)| usize::from(to) != byte)
    }

    /// Whether the bytes of `list` are what `passes` passes make of those that were filled in.
    pub(super) fn is_left(&self, buffer: &Buffer, list: &[Desc], passes: u64) -> bool {
        let map = power(&self.map, passes);
        let words = |desc: &Desc| {
            let (from, len) = (desc.offset as usize, desc.len as usize);
            let bytes = &buffer.bytes()[from..][..len];
            // Spans begin at a word's border.
            (from / 8..).zip(bytes.chunks(8)).all(|(word, now)| {
                let first = word_at(word);
                now.iter().zip(first).all(|(&now, first)| now == map[usize::from(first)])
            })
        };
        list.iter().all(words)
    }
}

/// `map` applied `times` times.
fn power(map: &[u8; 256], mut times: u64) -> [u8; 256] {
    let mut square = *map;
    let mut all: [u8; 256] = std::array::from_fn(|byte| byte as u8);
    while times > 0 {
        if times & 1 == 1 {
            all = all.map(|byte| square[usize::from(byte)]);
        }
        square = square.map(|byte| square[usize::from(byte)]);
        times >>= 1;
    }
    all
}

fn change(message: &mut [u8], with: impl Fn(u8) -> u8) -> u64 {
    message.iter_mut().for_each(|byte| *byte = with(*byte));
    0
}

/// Digests that go on over messages.
struct Chains([u64; 4]);

impl Chains {
    fn of(program: &Program) -> Self {
        let mut states = [0; 4];
        let mut slot = 0;
        for op in program.ops() {
            if let Op::Fnv64(basis, Scope::Chain) = op {
                states[slot] = basis.value();
            }
            slot += op.accumulators();
        }
        Self(states)
    }

    /// The difference that the next message makes to the slot's digest, which is thus its sum.
    fn step(&mut self, slot: usize, next: impl Fn(u64) -> u64) -> u64 {
        let before = self.0[slot];
        self.0[slot] = next(before);
        self.0[slot].wrapping_sub(before)
    }
}

#[cfg(test)]
mod tests {
    use pfs_dataplane::pcpu::{Compiled, Isa, SpanBatch};
    use pfs_rings::{PageSize, PageWish};

    use super::*;
    use crate::pcores::spans::{Mode, Shape};

    #[test]
    fn the_expected_answer_is_that_of_the_kernels_and_not_of_other_bytes() {
        let shape = Shape { mode: Mode::Scattered, len: 0, align: 64, dpf: 2 };
        for text in ["crc32c,fnv64,counteq:7,len", "xor:255,add:7,counteq:0,crc32c", "hist8"] {
            let program = Program::parse(text).unwrap();
            let pages = PageWish::Exact(PageSize::Base4K);
            let mut buffer = Buffer::new(1 << 16, pages, None).unwrap();
            let list = shape.list(0, 1 << 16, 3).unwrap();
            let expected = Expected::of(&program, &buffer, &list).unwrap();
            let mut compiled = Compiled::new(&program, Isa::Portable);
            for passes in 1..=3 {
                for pair in list.chunks(2) {
                    let base = buffer.ptr();
                    let mut batch = SpanBatch::default();
                    for desc in pair {
                        let (som, eom) = (desc.is_som(), desc.is_eom());
                        // SAFETY: inside the buffer, which nobody else uses; spans do not overlap.
                        unsafe { batch.push(base.add(desc.offset as usize), desc.len, som, eom) };
                    }
                    compiled.run(&mut batch);
                }
                let results = compiled.results();
                assert_eq!(expected.is_first(&results), passes == 1, "{text}");
                assert!(expected.is_after(&results, passes), "{text}");
                assert!(!expected.is_after(&results, passes + 1), "{text}");
                assert!(expected.is_left(&buffer, &list, passes), "{text}");
                assert_eq!(expected.is_left(&buffer, &list, passes + 1), !expected.changes());
            }
        }
    }

    #[test]
    fn chains_go_on_over_messages() {
        let program = Program::parse("crc32c:chain,fnv64:chain").unwrap();
        let buffer = Buffer::new(4096, PageWish::Exact(PageSize::Base4K), None).unwrap();
        let shape = Shape { mode: Mode::Contiguous, len: 64, align: 64, dpf: 1 };
        let expected = Expected::of(&program, &buffer, &shape.list(0, 4096, 1).unwrap()).unwrap();
        let bytes = &buffer.bytes()[..4096];
        assert_eq!(expected.r[0], u64::from(crc32c::crc32c(bytes)));
        assert_eq!(expected.r[1], oracle::fnv64(pfs_dataplane::pcpu::FNV_BASIS, bytes));
    }
}
