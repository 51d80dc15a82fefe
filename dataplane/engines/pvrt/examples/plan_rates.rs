//! How quickly one core plans, and what comes of it.
//!
//! `plan_rates` alone: content that is all known, and content of which nothing is known (noise,
//! and the files given), each rebuilt and compared. `plan_rates FILE...` plans real files.

use std::error::Error;
use std::time::Instant;

use pfs_pvrt::plan::{Planner, Settings, Tally};
use pfs_pvrt::{Space, Window, rebuild};

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

fn row(
    name: &str,
    planner: &Planner<'_>,
    space: &Space<'_>,
    file: &[u8],
) -> Result<(), Box<dyn Error>> {
    let mut best = f64::MAX;
    let mut windows: Vec<Window> = Vec::new();
    for _ in 0..5 {
        windows.clear();
        let mut lane = planner.lane()?;
        let began = Instant::now();
        for (n, window) in file.chunks(1 << 16).enumerate() {
            windows.push(lane.plan(window, (n << 16) as u64));
        }
        best = best.min(began.elapsed().as_secs_f64());
    }
    let (mut tally, mut at) = (Tally::default(), 0);
    for window in &windows {
        tally.count(window);
        let mut made = vec![0; window.bytes() as usize];
        rebuild::window(space, &window.pieces, &window.raw, &mut made)?;
        if file.get(at..at + made.len()) != Some(&made) {
            return Err(format!("{name}: the window at {at} comes out wrong").into());
        }
        at += made.len();
    }
    if at != file.len() {
        return Err(format!("{name}: {at} bytes of {}", file.len()).into());
    }
    let share = |bytes: u64| 100.0 * bytes as f64 / file.len() as f64;
    println!(
        "{{\"row\":\"{name}\",\"bytes\":{},\"MB_s\":{:.0},\"identity_%\":{:.2},\"xor_%\":{:.2},\"add_%\":{:.2},\"raw_%\":{:.2}}}",
        file.len(),
        file.len() as f64 / best / 1e6,
        share(tally.identity.0),
        share(tally.xor.0),
        share(tally.add.0),
        share(tally.raw),
    );
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let older = noise(1, 64 << 20);
    let blob = noise(2, 16 << 20);
    let mut space = Space::blob(&blob);
    space.add(Space::BESIDE, &older)?;
    let began = Instant::now();
    let settings = Settings { banks: 0..blob.len() as u64, ..Settings::default() };
    let planner = Planner::new(&space, settings);
    println!(
        "{{\"row\":\"index\",\"bytes\":{},\"MB_s\":{:.0},\"index_bytes\":{}}}",
        80 << 20,
        f64::from(80 << 20) / began.elapsed().as_secs_f64() / 1e6,
        planner.index_bytes(),
    );
    let plain = Planner::new(&space, Settings::default());
    row("known, in order", &plain, &space, &older[12_345..])?;
    let mut pieces = Vec::new();
    for n in 0..4096_usize {
        let from = n.wrapping_mul(7_919_393) % (older.len() - 8192);
        pieces.extend_from_slice(&older[from..from + 8192]);
    }
    row("known, 8 KiB pieces", &plain, &space, &pieces)?;
    let added: Vec<u8> = blob.iter().map(|byte| byte.wrapping_add(9)).collect();
    row("known, 9 added", &planner, &space, &added)?;
    let xored: Vec<u8> = older.iter().map(|byte| byte ^ 0x55).collect();
    row("known, xored", &plain, &space, &xored)?;
    row("unknown noise", &plain, &space, &noise(3, 64 << 20))?;
    row("unknown noise, sums too", &planner, &space, &noise(3, 64 << 20))?;
    for path in std::env::args().skip(1) {
        let file = std::fs::read(&path)?;
        row(&format!("unknown {path}"), &plain, &space, &file)?;
        row(&format!("unknown {path}, sums too"), &planner, &space, &file)?;
    }
    Ok(())
}
