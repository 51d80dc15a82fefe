//! Replays the fuzz corpora of the formats.

include!("../../../../fuzz/replay.rs");

#[test]
fn pox1() {
    replay("pox1", pfs_pvrt::formats::fuzzing::pox1);
}

#[test]
fn pbb2() {
    replay("pbb2", pfs_pvrt::formats::fuzzing::pbb2);
}

#[test]
fn iprog_json() {
    replay("iprog_json", pfs_pvrt::formats::fuzzing::iprog_json);
}

#[test]
fn iprog_binary() {
    replay("iprog_binary", pfs_pvrt::formats::fuzzing::iprog_binary);
}

#[test]
fn pfsx() {
    replay("pfsx", pfs_pvrt::formats::fuzzing::pfsx);
}

#[test]
fn pvrt_varint() {
    replay("pvrt_varint", pfs_pvrt::formats::fuzzing::pvrt_varint);
}

/// Seeds with some bytes changed, cut and doubled: what the fuzzer would do, where there is none.
/// `PFS_FUZZ_ROUNDS` changes of each seed.
#[test]
fn changed_seeds() {
    use pfs_pvrt::formats::fuzzing;
    let rounds = std::env::var("PFS_FUZZ_ROUNDS").ok().and_then(|text| text.parse().ok());
    let rounds = rounds.unwrap_or(2_000_u32);
    type Target = fn(&[u8]);
    let targets: [(&str, Target); 6] = [
        ("pox1", fuzzing::pox1),
        ("pbb2", fuzzing::pbb2),
        ("iprog_json", fuzzing::iprog_json),
        ("iprog_binary", fuzzing::iprog_binary),
        ("pfsx", fuzzing::pfsx),
        ("pvrt_varint", fuzzing::pvrt_varint),
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        ((state >> 33) as usize) % below.max(1)
    };
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus");
    for (name, target) in targets {
        for entry in fs::read_dir(corpus.join(name)).expect("the corpus is committed") {
            let seed = fs::read(entry.expect("readable folder").path()).expect("readable file");
            for _ in 0..rounds {
                let mut data = seed.clone();
                for _ in 0..=next(4) {
                    let at = next(data.len());
                    match next(4) {
                        0 => data.truncate(at),
                        1 => data.extend_from_within(at..),
                        2 if !data.is_empty() => data[at] = [0, 1, 0x7f, 0x80, 0xff][next(5)],
                        _ if !data.is_empty() => data[at] ^= 1 << next(8),
                        _ => data.push(0),
                    }
                }
                target(&data);
            }
        }
    }
}
