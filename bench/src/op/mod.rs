//! Payload operations: our kernels at every level, beside peers and rooflines, in one run.

mod costs;
mod data;
mod measure;
mod peers;
mod report;

use std::hint::black_box;
use std::path::PathBuf;
use std::time::Duration;

use pfs_dataplane::pcpu::{Compiled, FNV_BASIS, Isa, Op, Options, Program, SpanBatch, oracle};
use pfs_rings::{PageSize, PageWish};

use data::Spans;
use measure::{Row, Trials, measure};
use peers::{Answer, Peer};

use crate::interrupt;
use crate::memory::Buffer;
use crate::report::{Grants, Report};

/// What to measure.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Only rows whose `group/what` contains this.
    pub filter: String,
    /// Only groups that begin with this.
    pub group: String,
    /// Only our kernels of this level; `None`: of all.
    pub level: Option<Isa>,
    /// Timed trials per row.
    pub trials: usize,
    /// Shortest trial in milliseconds.
    pub trial_ms: u64,
    /// Bytes of the large buffer.
    pub big_bytes: usize,
    /// Spans that our kernels fetch ahead; `None`: their own choice.
    pub prefetch_spans: Option<usize>,
    /// Whether to measure cost classes, and the file to keep them in.
    pub costs: Option<PathBuf>,
}

const SINGLE: [&str; 7] =
    ["crc32c", "counteq:0", "xor:255", "add:7", "fnv64", "hist8", "crc32c:chain"];
const FOUR: &str = "xor:255,add:7,counteq:0,crc32c";

/// Measures what `settings` select.
///
/// # Errors
/// When the large buffer cannot be mapped.
pub fn run(settings: &Settings) -> Result<Report, String> {
    interrupt::watch();
    let mut bench = Bench { settings, rows: Vec::new(), grants: Grants::default() };
    bench.run()?;
    let mut report = report::report(&bench.rows);
    report.grants = bench.grants;
    if let Some(path) = &settings.costs {
        costs::add(&mut report, path, settings.trials);
    }
    Ok(report)
}

struct Bench<'a> {
    settings: &'a Settings,
    rows: Vec<Row>,
    grants: Grants,
}

/// How the four ops are run.
#[derive(Clone, Copy)]
struct Mode {
    label: &'static str,
    fuse: bool,
    keeps_payload: bool,
}

const PLAIN: Mode = Mode { label: "", fuse: true, keeps_payload: true };

impl Bench<'_> {
    fn run(&mut self) -> Result<(), String> {
        let groups = [
            Spans::regular("l1 4K", 8, 4096, 4096),
            Spans::regular("l2 4K", 64, 4096, 4096),
            Spans::regular("64", 64, 64, 64),
            Spans::regular("256", 64, 256, 256),
            Spans::regular("1400", 64, 1400, 1408),
            Spans::mixed("mixed"),
        ];
        for spans in &groups {
            self.group(spans, 1 << 20)?;
        }
        let big = self.settings.big_bytes;
        self.group(&Spans::regular("dram 4K", (big / 2 / 4096) as u32, 4096, 4096), big / 2)?;
        self.group(&Spans::scattered("scattered", 1 << 18, big as u64), big)
    }

    fn group(&mut self, spans: &Spans, bytes: usize) -> Result<(), String> {
        if !spans.group.starts_with(&self.settings.group) || interrupt::asked() {
            return Ok(());
        }
        let pages = PageWish::AtMost(PageSize::Huge2M);
        let mut buffer = Buffer::new(bytes as u64, pages, None)
            .map_err(|error| format!("{error}; see --big-mib"))?;
        self.grants.add(&format!("payload of {}", spans.group), buffer.granted());
        for peer in peers::all() {
            self.peer(spans, &mut buffer, &peer);
        }
        for text in SINGLE {
            self.levels(spans, &mut buffer, text, PLAIN);
        }
        let modes = [
            Mode { label: " separate", fuse: false, keeps_payload: true },
            Mode { label: " fused, kept", fuse: true, keeps_payload: true },
            Mode { label: " fused", fuse: true, keeps_payload: false },
        ];
        for mode in modes {
            self.levels(spans, &mut buffer, FOUR, mode);
        }
        Ok(())
    }

    fn wants(&self, spans: &Spans, what: &str) -> bool {
        !interrupt::asked() && format!("{}/{what}", spans.group).contains(&self.settings.filter)
    }

    fn trials(&self) -> Trials {
        Trials {
            count: self.settings.trials,
            length: Duration::from_millis(self.settings.trial_ms),
        }
    }

    fn peer(&mut self, spans: &Spans, buffer: &mut Buffer, peer: &Peer) {
        if !self.wants(spans, peer.name) {
            return;
        }
        let base = buffer.ptr();
        let mut sum = 0;
        let mut pass = || {
            spans.each_span(base, |span| sum = (peer.span)(sum, span));
            sum = black_box(sum);
        };
        let (mut row, passes) =
            measure(self.trials(), spans.group, peer.name.into(), spans.bytes(), &mut pass);
        row.ok = match peer.answer {
            Answer::Flipped => undo(spans, buffer, "xor:255", passes % 2),
            Answer::Plus7 => undo(spans, buffer, &minus7(passes), 1),
            Answer::Unchanged => spans.are_mapped(buffer, |byte| byte),
            Answer::Words => sum == if passes % 2 == 1 { words(spans, buffer) } else { 0 },
            Answer::Crc => sum == expected(&Op::Crc32c(Default::default()), spans, buffer, passes),
            Answer::Zeros => sum == expected(&Op::CountEq(0), spans, buffer, passes),
            Answer::Fnv => {
                let op = Op::Fnv64(Default::default(), Default::default());
                sum == expected(&op, spans, buffer, passes)
            }
        };
        self.rows.push(row);
    }

    fn levels(&mut self, spans: &Spans, buffer: &mut Buffer, text: &str, mode: Mode) {
        let what = format!("{text}{}", mode.label);
        if !self.wants(spans, &what) {
            return;
        }
        let program = Program::parse(text).expect("written above");
        let wanted = |isa: &Isa| self.settings.level.is_none_or(|level| level == *isa);
        for isa in Isa::all_available().into_iter().filter(wanted) {
            let options = Options {
                fuse: mode.fuse,
                keeps_payload: mode.keeps_payload,
                prefetch_spans: self.settings.prefetch_spans,
            };
            let mut compiled = Compiled::with(&program, isa, options);
            let base = buffer.ptr();
            // One for all passes, as a worker has.
            let mut batch = SpanBatch::default();
            let pass = || spans.each_batch(base, &mut batch, |batch| compiled.run(batch));
            let (mut row, passes) =
                measure(self.trials(), spans.group, what.clone(), spans.bytes(), pass);
            row.isa = isa.to_string();
            row.ok = check(&compiled, spans, buffer, passes, mode);
            self.rows.push(row);
        }
    }
}

/// The program that undoes `times` times `add:7`.
fn minus7(times: u64) -> String {
    format!("add:{}", (times % 256 * 249) % 256)
}

/// Runs the program `inverse` over all spans `times` times, then looks for the filling.
fn undo(spans: &Spans, buffer: &mut Buffer, inverse: &str, times: u64) -> bool {
    let mut compiled =
        Compiled::new(&Program::parse(inverse).expect("written here"), Isa::Portable);
    let base = buffer.ptr();
    let mut batch = SpanBatch::default();
    (0..times).for_each(|_| spans.each_batch(base, &mut batch, |batch| compiled.run(batch)));
    spans.are_mapped(buffer, |byte| byte)
}

/// Whether `passes` passes gave what the oracle gives; puts transformed bytes back.
fn check(compiled: &Compiled, spans: &Spans, buffer: &mut Buffer, passes: u64, mode: Mode) -> bool {
    let results = compiled.results();
    match compiled.program().ops() {
        [Op::Xor(255)] => undo(spans, buffer, "xor:255", passes % 2),
        [Op::Add(7)] => undo(spans, buffer, &minus7(passes), 1),
        [Op::Hist8] => {
            let bins = results.hist.unwrap_or_default();
            let mut all = [0u64; 256];
            for &(from, len) in &spans.list {
                let bytes = &buffer.bytes()[from as usize..][..len as usize];
                bytes.iter().for_each(|&byte| all[usize::from(byte)] += passes);
            }
            bins == all
        }
        [Op::Crc32c(pfs_dataplane::pcpu::Scope::Chain)] => {
            let pass = |crc, &(from, len): &(u32, u32)| {
                crc32c::crc32c_append(crc, &buffer.bytes()[from as usize..][..len as usize])
            };
            let crc = (0..passes.min(8)).fold(0, |crc, _| spans.list.iter().fold(crc, pass));
            // All passes where they are few; else a run of our own of that many.
            if passes <= 8 {
                results.r[0] == u64::from(crc)
            } else {
                let mut again = Compiled::new(compiled.program(), compiled.isa());
                let base = buffer.ptr();
                let mut batch = SpanBatch::default();
                (0..8).for_each(|_| spans.each_batch(base, &mut batch, |batch| again.run(batch)));
                again.results().r[0] == u64::from(crc)
            }
        }
        [op] => results.r[0] == expected(op, spans, buffer, passes),
        _ => four(&results.r, spans, buffer, passes, mode),
    }
}

/// The four-op program maps a byte to 6 minus itself: twice is the identity. With the payload
/// kept, every second pass sees it mapped.
fn four(r: &[u64; 4], spans: &Spans, buffer: &mut Buffer, passes: u64, mode: Mode) -> bool {
    let (mut count, mut crc) = (0u64, 0u64);
    if mode.keeps_payload && !undo(spans, buffer, "xor:255,add:7", passes % 2) {
        return false;
    }
    for &(from, len) in &spans.list {
        let bytes = &buffer.bytes()[from as usize..][..len as usize];
        let mapped: Vec<u8> = bytes.iter().map(|byte| 6u8.wrapping_sub(*byte)).collect();
        let again = if mode.keeps_payload { passes / 2 } else { 0 };
        for (now, times) in [(&mapped[..], passes - again), (bytes, again)] {
            let zeros = now.iter().filter(|&&byte| byte == 0).count() as u64;
            count = count.wrapping_add(zeros * times);
            crc = crc.wrapping_add(u64::from(crc32c::crc32c(now)).wrapping_mul(times));
        }
    }
    r[..2] == [count, crc]
}

/// R0 of one op that does not change bytes, after `passes` passes.
fn expected(op: &Op, spans: &Spans, buffer: &Buffer, passes: u64) -> u64 {
    let one = |bytes: &[u8]| match *op {
        Op::Crc32c(_) => u64::from(crc32c::crc32c(bytes)),
        Op::Fnv64(..) => oracle::fnv64(FNV_BASIS, bytes),
        Op::CountEq(imm) => bytes.iter().filter(|&&byte| byte == imm).count() as u64,
        _ => bytes.len() as u64,
    };
    let sum = spans.list.iter().fold(0u64, |sum, &(from, len)| {
        sum.wrapping_add(one(&buffer.bytes()[from as usize..][..len as usize]))
    });
    sum.wrapping_mul(passes)
}

/// Xor of the words of every whole 64-byte block.
fn words(spans: &Spans, buffer: &Buffer) -> u64 {
    spans.list.iter().fold(0, |sum, &(from, len)| {
        let bytes = &buffer.bytes()[from as usize..][..len as usize / 64 * 64];
        bytes.as_chunks::<8>().0.iter().fold(sum, |sum, word| sum ^ u64::from_le_bytes(*word))
    })
}
