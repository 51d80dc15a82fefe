//! What is planned rebuilds to what was planned, whatever the space.

use proptest::prelude::*;

use super::*;
use crate::program::Transform;
use crate::rebuild;

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

fn settings(window_bytes: u32) -> Settings {
    Settings { window_bytes, banks: 0..1 << 20 }
}

/// Plans on so many threads, and rebuilds.
fn there_and_back(
    planner: &Planner<'_>,
    space: &Space<'_>,
    file: &[u8],
    threads: usize,
) -> (Tally, Vec<Window>) {
    let mut windows = Vec::new();
    let take = |window| {
        windows.push(window);
        Ok(())
    };
    planner.plan_file(file, threads, take).expect("plans");
    let (mut tally, mut made) = (Tally::default(), Vec::new());
    for window in &windows {
        tally.count(window);
        let mut out = vec![0; window.bytes() as usize];
        rebuild::window(space, &window.pieces, &window.raw, &mut out).expect("rebuilds");
        made.extend(out);
    }
    assert!(made == file, "{} bytes made of {}", made.len(), file.len());
    assert_eq!(tally.bytes, file.len() as u64);
    (tally, windows)
}

/// Bytes with much or little in them.
fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (0_u64..3, 0_usize..9000).prop_map(|(seed, len)| noise(seed, len)),
        (any::<u8>(), any::<u8>(), 0_usize..3000).prop_map(|(first, step, len)| {
            (0..len).map(|n| first.wrapping_add(step.wrapping_mul(n as u8))).collect()
        }),
        (1_usize..300, 0_usize..5000).prop_map(|(period, len)| noise(1, period)
            .into_iter()
            .cycle()
            .take(len)
            .collect()),
    ]
}

fn joined() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(content(), 0..5).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("PFS_PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(64)
    ))]

    #[test]
    fn what_is_planned_rebuilds(
        blob in joined(), older in joined(), own in joined(), window_bytes in 1_u32..20_000,
        cuts in prop::collection::vec(
            (any::<bool>(), any::<prop::sample::Index>(), 0_usize..3000, 0..3, any::<u8>()), 0..6),
        threads in 1_usize..4,
    ) {
        let mut space = Space::blob(&blob);
        space.add(Space::BESIDE, &older).expect("free");
        let mut file = own;
        for (from_blob, at, len, kind, imm) in cuts {
            let from = if from_blob { &blob } else { &older };
            let at = at.index(from.len() + 1);
            let part = from[at..from.len().min(at + len)].iter().map(|byte| match kind {
                0 => *byte,
                1 => byte ^ imm,
                _ => byte.wrapping_add(imm),
            });
            file.extend(part);
        }
        let planner = Planner::new(&space, settings(window_bytes));
        there_and_back(&planner, &space, &file, threads);
    }
}

#[test]
fn transforms_are_found_across_windows() {
    let blob = noise(7, 1 << 20);
    let space = Space::blob(&blob);
    let planner = Planner::new(&space, settings(1 << 12));
    let from =
        |imm: fn(u8) -> u8| -> Vec<u8> { blob[12_345..112_345].iter().map(|b| imm(*b)).collect() };
    let file = [from(|b| b), from(|b| b ^ 0xa5), from(|b| b.wrapping_add(77))].concat();
    let (tally, windows) = there_and_back(&planner, &space, &file, 1);
    assert!(tally.raw < 300, "{tally:?}");
    for (bytes, count) in [tally.identity, tally.xor, tally.add] {
        assert!(bytes > 99_700 && count <= 27, "{tally:?}");
    }
    let Piece::Ref(at) = windows[1].pieces[0] else { panic!("a reference") };
    assert_eq!(at, Ref { offset: 12_345 + 4096, len: 4096, transform: Transform::Identity });
}

#[test]
fn sums_outside_the_banks_are_not_looked_for() {
    let (blob, older) = (noise(1, 5000), noise(2, 50_000));
    let mut space = Space::blob(&blob);
    space.add(Space::BESIDE, &older).expect("free");
    let file: Vec<u8> = older.iter().map(|byte| byte.wrapping_add(3)).collect();
    let settings = Settings { banks: 0..5000, ..Settings::default() };
    let planner = Planner::new(&space, settings);
    let (tally, _) = there_and_back(&planner, &space, &file, 1);
    assert_eq!(tally.raw, 50_000);
}

#[test]
fn sections_say_where_short_runs_lie() {
    let path = std::env::current_exe().expect("running");
    let old = std::fs::read(path).expect("readable");
    let mut new = old.clone();
    // One byte of every 24 is another: no anchor is left.
    new.iter_mut().skip(4096).step_by(24).for_each(|byte| *byte = byte.wrapping_add(101));
    let mut space = Space::default();
    space.add(Space::BESIDE, &old).expect("free");
    let plain = Planner::new(&space, Settings::default());
    // Sections are named by the old headers: the new ones are as damaged as the rest.
    let sections = Sections::of(&old, &space);
    let (new, far) = (&new[..3 << 20], 2 << 20);
    let (without, _) = there_and_back(&plain, &space, &new[far..], 1);
    let (with, _) = there_and_back(&plain.with_sections(sections), &space, new, 2);
    assert!(with.identity.0 > without.identity.0 + (1 << 20), "{with:?} {without:?}");
}

#[test]
fn ramps_and_constants_are_referred_to() {
    let mut blob = vec![0; 4096];
    blob.extend((0..2048).map(|n: u32| (n * 5) as u8));
    let space = Space::blob(&blob);
    let planner = Planner::new(&space, settings(1 << 16));
    let mut file = vec![0x41_u8; 3000];
    file.extend((0..2000).map(|n: u32| (n * 5 + 9) as u8));
    file.extend(noise(1, 1000));
    let (tally, windows) = there_and_back(&planner, &space, &file, 1);
    assert_eq!(tally.raw, 1000, "{:?}", windows[0].pieces);
    assert_eq!(tally.add.1, 2);
}

#[test]
fn failures_end_the_plan() {
    let space = Space::blob(b"");
    let planner = Planner::new(&space, settings(0));
    let file = noise(1, 100_000);
    let none = planner.plan_file(file.as_slice(), 1, |_| Ok(()));
    assert!(matches!(none, Err(PlanError::WindowBytes(0))));
    let planner = Planner::new(&space, settings(100));
    for threads in [1, 3] {
        let full = |_| Err(std::io::Error::other("full"));
        let failed = planner.plan_file(file.as_slice(), threads, full);
        assert!(matches!(failed, Err(PlanError::Take(_))), "{failed:?}");
    }
}
