//! What our library does with the data.

use pfs_vec::index::{
    Graph, GraphSettings, Ivf, IvfSettings, Search, search_exact, search_exact_batch,
};
use pfs_vec::kernels::{BLOCK, Found, Kernels, Measure};
use pfs_vec::quantize::{ExtraBits, Pq, PqBits, PqSettings, RaBitQ};
use pfs_vec::{Hit, Rows, TopK};

use super::data::{Data, NEAREST, QUERIES};
use super::measure::{Line, timed};
use crate::heap::live_bytes;

/// Queries that a scan of everything is measured with.
const SCANS: usize = 100;
/// Vectors of a list on average.
const LIST: usize = 117;
/// What recall a search is to have.
pub const RECALL: f64 = 0.95;

fn search(query: &[f32], candidates: usize, probes: usize) -> Search<'_> {
    Search { query, k: NEAREST, least: f32::NEG_INFINITY, candidates, probes, filter: None }
}

fn places(hits: &[Hit]) -> Vec<u32> {
    hits.iter().map(|hit| hit.at).collect()
}

/// Measures everything once.
#[must_use]
pub fn lines(data: &Data) -> Vec<Line> {
    let mut lines = vec![bandwidth(data), exact(data), batch(data), bytes(data)];
    for (name, bits, parts) in [
        ("PQ 48 x 8", PqBits::Eight, 48),
        ("PQ 96 x 4", PqBits::Four, 96),
        ("PQ 64 x 6", PqBits::Six, 64),
    ] {
        lines.push(product(
            data,
            name,
            &PqSettings { measure: Measure::Dot, bits, parts, seed: 1 },
        ));
    }
    lines.extend([one_bit(data), flat(data)]);
    lines.extend(lists(data));
    lines.extend(graph(data));
    lines
}

/// All of the memory that vectors are in, read once.
fn bandwidth(data: &Data) -> Line {
    let rows = data.base.as_slice();
    let mut line = Line::new("read bandwidth");
    for _ in 0..5 {
        let sum = || {
            let mut sums = [0_u32; 16];
            for lane in rows.as_chunks::<16>().0 {
                for (sum, value) in sums.iter_mut().zip(lane) {
                    *sum ^= value.to_bits();
                }
            }
            sums
        };
        let (sums, seconds) = timed(|| std::hint::black_box(sum()));
        line.scanned = line.scanned.max(data.base.len() as f64 / seconds);
        line.setting = format!("{:.1} GB/s", line.scanned * 4.0 * data.base.stride() as f64 / 1e9);
        std::hint::black_box(sums);
    }
    line
}

fn exact(data: &Data) -> Line {
    let (kernels, rows) = (Kernels::best(), data.base.as_slice());
    let one = |query: &[f32]| {
        places(&search_exact(&kernels, Measure::Dot, rows, &search(query, 0, 0)).hits)
    };
    Line::new("exact, one query").searched(data, SCANS, one).scanning(data)
}

fn batch(data: &Data) -> Line {
    let (kernels, rows) = (Kernels::best(), data.base.as_slice());
    let mut line = Line::new("exact, batch");
    for _ in 0..3 {
        let all = || search_exact_batch(&kernels, rows, &data.queries, NEAREST);
        let (found, seconds) = timed(all);
        line.recall = data.recall(&found.iter().map(|hits| places(hits)).collect::<Vec<_>>());
        line.queries = line.queries.max(QUERIES as f64 / seconds);
    }
    line.scanning(data)
}

/// All vectors as bytes, each of a unit of its own.
fn bytes(data: &Data) -> Line {
    let (kernels, stride) = (Kernels::best(), data.base.dim().next_multiple_of(64));
    let (mut rows, mut units) = (Rows::<i8>::new(stride), Vec::new());
    let mut row = vec![0; stride];
    let wide = |at: &[f32]| {
        let mut wide = vec![0.0; stride];
        wide[..at.len()].copy_from_slice(at);
        wide
    };
    for at in 0..data.base.len() {
        units.push(kernels.bytes(&wide(&data.base.row(at)[..data.base.dim()]), &mut row));
        rows.push(&row);
    }
    let one = |query: &[f32]| {
        let mut bytes = vec![0; stride];
        let unit = kernels.bytes(&wide(query), &mut bytes);
        let mut top = TopK::new(NEAREST, f32::NEG_INFINITY);
        let mut dots = [0; 1024];
        for (block, rows) in rows.as_slice().chunks(1024 * stride).enumerate() {
            let dots = &mut dots[..rows.len() / stride];
            kernels.scan_i8(rows, &bytes, dots);
            let units = &units[block * 1024..];
            for (at, (dot, own)) in dots.iter().zip(units).enumerate() {
                top.offer((block * 1024 + at) as u32, *dot as f32 * own * unit);
            }
        }
        places(&top.sorted())
    };
    Line::new("i8 exact").searched(data, SCANS, one).scanning(data)
}

fn product(data: &Data, name: &str, settings: &PqSettings) -> Line {
    let (kernels, before) = (Kernels::best(), live_bytes());
    let pq = Pq::train(&data.base, settings);
    let mut codes = pq.codes();
    let (_, seconds) = timed(|| pq.encode(&data.base, &mut codes));
    let allocated = live_bytes() - before;
    let view = codes.view();
    let one = |query: &[f32]| {
        places(&view.search(&kernels, &pq.query(query), NEAREST, f32::NEG_INFINITY))
    };
    let mut line = Line::new(name).searched(data, 2 * SCANS, one).scanning(data);
    line.added = data.base.len() as f64 / seconds;
    line.bytes = allocated as f64 / data.base.len() as f64;
    line
}

/// 1-bit codes about 0, scanned with the best kept, without more bits.
fn one_bit(data: &Data) -> Line {
    let (kernels, before) = (Kernels::best(), live_bytes());
    let quantizer = RaBitQ::new(data.base.dim(), Measure::Dot, 1);
    let (mut codes, centre) = (quantizer.codes(), vec![0.0; quantizer.padded()]);
    let mut turned = vec![0.0; quantizer.padded()];
    let encode = || {
        for at in 0..data.base.len() {
            quantizer.rotate(&data.base.row(at)[..data.base.dim()], &mut turned);
            quantizer.encode(&mut turned, &centre, &mut codes);
        }
    };
    let (_, seconds) = timed(encode);
    let allocated = live_bytes() - before;
    let one = |query: &[f32]| {
        let (query, mut top) = (quantizer.query(query), TopK::new(NEAREST, f32::NEG_INFINITY));
        let mut found = Found::with_room(256);
        let (mut from, mut step) = (0, 8);
        while from < codes.blocks() {
            let to = codes.blocks().min(from + step);
            codes.view().scan(&kernels, &query, from..to, top.floor(), &mut found);
            let first = (from * BLOCK) as u32;
            found.iter().for_each(|(at, score)| top.offer(first + at, score));
            (from, step) = (to, (2 * step).min(256));
        }
        places(&top.sorted())
    };
    let mut line = Line::new("1 bit").searched(data, 2 * SCANS, one).scanning(data);
    line.added = data.base.len() as f64 / seconds;
    line.bytes = allocated as f64 / data.base.len() as f64;
    line
}

/// One list: what takes vectors in that come.
fn flat(data: &Data) -> Line {
    let settings = IvfSettings { measure: Measure::Dot, lists: 1, extra: ExtraBits::Four, seed: 1 };
    let before = live_bytes();
    let mut index = Ivf::flat(data.base.dim(), &settings);
    let (_, seconds) = timed(|| index.add(&data.base, 0));
    index.shrink();
    let mut line = Line::new("flat codes, 1 + 4 bits")
        .searched(data, 2 * SCANS, |query| places(&index.search(&search(query, 100, 1)).hits));
    line.added = data.base.len() as f64 / seconds;
    line.bytes = (live_bytes() - before) as f64 / data.base.len() as f64;
    line.setting = "100 candidates".to_owned();
    line
}

/// Raises settings until the recall is reached; all lines up to there.
fn sweep(
    base: &Line,
    data: &Data,
    settings: &[(usize, usize)],
    name: impl Fn(usize, usize) -> String,
    find: impl Fn(&[f32], usize, usize) -> Vec<u32>,
) -> Vec<Line> {
    let mut lines = Vec::new();
    for &(first, second) in settings {
        let mut line = base.clone().searched(data, QUERIES, |query| find(query, first, second));
        line.setting = name(first, second);
        let reached = line.recall >= RECALL;
        lines.push(line);
        if reached {
            break;
        }
    }
    lines
}

fn lists(data: &Data) -> Vec<Line> {
    // Of many vectors the lists grow too, or finding the nearest ones took longest.
    let lists = (data.base.len() / LIST).min(4 * data.base.len().isqrt()).max(1);
    let settings = IvfSettings { measure: Measure::Dot, lists, extra: ExtraBits::Four, seed: 1 };
    let before = live_bytes();
    let mut index = Ivf::train(&data.base, &settings);
    let (_, seconds) = timed(|| index.add(&data.base, 0));
    index.shrink();
    let mut line = Line::new("lists, 1 + 4 bits");
    line.bytes = (live_bytes() - before) as f64 / data.base.len() as f64;
    line.added = data.base.len() as f64 / seconds;
    let probes = [16, 24, 32, 40, 44, 46, 48, 52, 56, 64, 80, 96, 128, 192, 256];
    let settings = probes.map(|probes| (probes, 24 + probes / 2));
    let name = |probes, candidates| format!("{probes} lists, {candidates} candidates");
    sweep(&line, data, &settings, name, |query, probes, candidates| {
        places(&index.search(&search(query, candidates, probes)).hits)
    })
}

fn graph(data: &Data) -> Vec<Line> {
    let before = live_bytes();
    let (index, seconds) = timed(|| Graph::build(&data.base, 0, &GraphSettings::new(Measure::Dot)));
    let mut line = Line::new("graph of 32");
    line.bytes = (live_bytes() - before) as f64 / data.base.len() as f64;
    line.added = data.base.len() as f64 / seconds;
    let widths = [20, 24, 28, 30, 32, 36, 40, 48, 64, 96, 128, 192, 256];
    let name = |width, _| format!("beam of {width}");
    sweep(&line, data, &widths.map(|width| (width, 0)), name, |query, width, _| {
        places(&index.search(&search(query, width, 0)).hits)
    })
}
