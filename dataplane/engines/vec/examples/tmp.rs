use pfs_vec::index::*;
use pfs_vec::kernels::*;
use pfs_vec::quantize::*;
use pfs_vec::*;
use std::time::Instant;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let d = 384;
    let bytes = std::fs::read(&a[1]).unwrap();
    let v: Vec<f32> =
        bytes[128..].chunks_exact(4).map(|c| f32::from_le_bytes(c.try_into().unwrap())).collect();
    let all = v.len() / d;
    let nq = 1000;
    let n = all - nq;
    let mut rows = Rows::<f32>::new(d);
    for i in 0..n {
        rows.push(&v[i * d..(i + 1) * d]);
    }
    let queries: Vec<&[f32]> = (n..all).map(|i| &v[i * d..(i + 1) * d]).collect();
    let k = Kernels::best();
    let truth: Vec<Vec<u32>> = queries
        .iter()
        .map(|q| {
            let mut out = vec![0.0; n];
            k.scan_f32(Measure::Dot, rows.as_slice(), q, &mut out);
            let mut t = TopK::new(10, f32::NEG_INFINITY);
            for (i, s) in out.iter().enumerate() {
                t.offer(i as u32, *s);
            }
            t.sorted().iter().map(|h| h.at).collect()
        })
        .collect();
    for lists in a[2].split(',').map(|s| s.parse::<usize>().unwrap()) {
        let t = Instant::now();
        let mut ivf = Ivf::train(
            &rows,
            &IvfSettings { measure: Measure::Dot, lists, extra: ExtraBits::Four, seed: 1 },
        );
        let train = t.elapsed().as_secs_f64();
        let t = Instant::now();
        ivf.add(&rows, 0);
        let add = t.elapsed().as_secs_f64();
        ivf.shrink();
        println!(
            "lists {lists} n {n} train {train:.2}s add {:.0}/s bytes/vector {:.0}",
            n as f64 / add,
            ivf.bytes() as f64 / n as f64
        );
        for probes in a[3].split(',').map(|s| s.parse::<usize>().unwrap()) {
            for candidates in [30, 30, 30, 30, 30, 30, 30, 30] {
                if probes > lists {
                    continue;
                }
                let mut hit = 0;
                let t = Instant::now();
                let mut est = 0;
                for (q, truth) in queries.iter().zip(&truth) {
                    let ans = ivf.search(&Search {
                        query: q,
                        k: 10,
                        least: f32::NEG_INFINITY,
                        candidates,
                        probes,
                        filter: None,
                    });
                    est += ans.estimated;
                    hit += ans.hits.iter().filter(|h| truth.contains(&h.at)).count();
                }
                let s = t.elapsed().as_secs_f64();
                println!(
                    "  probes {probes} cand {candidates}: recall {:.4} qps {:.0} est/q {}",
                    hit as f64 / 1e4,
                    1000.0 / s,
                    est / 1000
                );
            }
        }
    }
}
