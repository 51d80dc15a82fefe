//! Programs as a whole against the oracle, at every level, however the bytes are cut.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Any op.
pub(super) fn any_op() -> impl Strategy<Value = Op> {
    let basis = prop_oneof![Just(Basis::Standard), Just(Basis::Packetfs)];
    let scope = || prop_oneof![3 => Just(Scope::Message), 1 => Just(Scope::Chain)];
    // Few values, so that neighbours cancel and counts hit.
    let imm = || prop_oneof![Just(0u8), Just(1), Just(128), Just(255), any::<u8>()];
    prop_oneof![
        (basis, scope()).prop_map(|(basis, scope)| Op::Fnv64(basis, scope)),
        scope().prop_map(Op::Crc32c),
        imm().prop_map(Op::Xor),
        imm().prop_map(Op::Xor),
        imm().prop_map(Op::Add),
        imm().prop_map(Op::Add),
        imm().prop_map(Op::CountEq),
        Just(Op::Hist8),
        Just(Op::Len),
    ]
}

/// Any program: ops that would be one too many are left out.
pub(super) fn any_program() -> impl Strategy<Value = Program> {
    vec(any_op(), 1..10).prop_map(|ops| {
        let mut kept = Vec::new();
        for op in ops {
            kept.push(op);
            if Program::from_ops(&kept).is_err() {
                kept.pop();
            }
        }
        Program::from_ops(&kept).expect("checked op by op, and the first always fits")
    })
}

/// Messages of bytes from a small or the whole alphabet.
fn any_messages() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let byte = || prop_oneof![0u8..4, any::<u8>()];
    let short = vec(byte(), 0..100);
    let long = (0usize..3000, any::<u8>())
        .prop_map(|(n, x)| (0..n).map(|i| (i * i / 7) as u8 ^ x).collect::<Vec<_>>());
    vec(prop_oneof![3 => short, 1 => long], 0..90)
}

/// Runs `messages` through `compiled`, cut into spans of at most `cut` bytes and batches of
/// `batch` spans, so that messages go on over spans and batches.
fn run_cut(compiled: &mut Compiled, messages: &mut [Vec<u8>], cut: usize, batch: usize) {
    let mut spans = SpanBatch::default();
    let mut ahead: Vec<(*mut u8, u32, bool, bool)> = Vec::new();
    for message in messages.iter_mut() {
        let parts = message.len().div_ceil(cut).max(1);
        let base = message.as_mut_ptr();
        for part in 0..parts {
            let from = part * cut;
            let len = (message.len() - from).min(cut) as u32;
            ahead.push((base.wrapping_add(from), len, part == 0, part + 1 == parts));
        }
    }
    for (i, group) in ahead.chunks(batch).enumerate() {
        spans.clear();
        for &(ptr, len, som, eom) in group {
            // SAFETY: parts of messages that are borrowed mutably here, none overlapping.
            unsafe { spans.push(ptr, len, som, eom) };
        }
        for &(ptr, len, ..) in ahead.iter().skip((i + 1) * batch).take(3) {
            spans.hint(ptr, len);
        }
        compiled.run(&mut spans);
    }
}

fn check(results: &Results, expected: &oracle::Outcome) {
    assert_eq!(results.r, expected.r);
    assert_eq!(results.hist.as_deref(), expected.hist.as_ref().map(<[u64; 256]>::as_slice));
}

proptest! {
    #[test]
    fn programs_give_what_the_oracle_gives(
        program in any_program(),
        messages in any_messages(),
        cut in prop_oneof![Just(usize::MAX / 2), 1usize..400],
        batch in 1usize..=BATCH,
        fuse in any::<bool>(),
    ) {
        let mut changed = messages.clone();
        let expected = oracle::run(&program, &mut changed);
        for isa in Isa::all_available() {
            let mut mine = messages.clone();
            let options = Options { fuse, ..Options::default() };
            let mut compiled = Compiled::with(&program, isa, options);
            run_cut(&mut compiled, &mut mine, cut, batch);
            check(&compiled.results(), &expected);
            prop_assert_eq!(&mine, &changed);
        }
    }

    #[test]
    fn optimized_programs_give_the_same(
        program in any_program(),
        messages in any_messages(),
        keeps_payload in any::<bool>(),
    ) {
        let mut changed = messages.clone();
        let expected = oracle::run(&program, &mut changed);
        let optimized = optimize(&program, keeps_payload);
        for isa in Isa::all_available() {
            let mut mine = messages.clone();
            let mut compiled = optimized.compile(isa);
            run_cut(&mut compiled, &mut mine, usize::MAX / 2, BATCH);
            check(&compiled.results(), &expected);
            if keeps_payload {
                prop_assert_eq!(&mine, &changed);
            }
        }
    }

    #[test]
    fn lanes_add_up_to_one(
        messages in any_messages(),
        split in any::<prop::sample::Index>(),
    ) {
        let program = Program::parse("crc32c,fnv64,counteq:1,len,hist8").unwrap();
        let run = |messages: &[Vec<u8>]| {
            let mut compiled = Compiled::new(&program, Isa::detect());
            run_cut(&mut compiled, &mut messages.to_vec(), 1000, 7);
            compiled.results()
        };
        let at = split.index(messages.len() + 1);
        let mut merged = run(&messages[at..]);
        merged.merge(&run(&messages[..at])).unwrap();
        let whole = run(&messages);
        prop_assert_eq!(Results { lanes: 1, ..merged }, whole);
    }
}

#[test]
fn chains_do_not_merge_and_programs_do_not_mix() {
    let result = |text: &str| {
        let mut compiled = Compiled::new(&Program::parse(text).unwrap(), Isa::detect());
        compiled.run(&mut SpanBatch::of_messages(&mut [&mut *b"123456789".to_vec()]));
        compiled.results()
    };
    let mut merged = result("crc32c:chain,len");
    assert_eq!(merged.get("crc32c:chain"), Some(0xe306_9283));
    merged.merge(&result("crc32c:chain,len")).unwrap();
    assert_eq!((merged.get("crc32c:chain"), merged.get("len")), (None, Some(18)));
    assert_eq!(
        (merged.r[0], merged.per_lane_only, merged.lanes),
        (0, [true, false, false, false], 2)
    );
    assert!(merged.merge(&result("len,crc32c:chain")).is_err());
}

#[test]
fn an_abandoned_message_is_counted_and_not_digested() {
    for isa in Isa::all_available() {
        let mut compiled = Compiled::new(&Program::parse("crc32c,fnv64,len").unwrap(), isa);
        let (mut lost, mut open, mut kept) = (*b"lost", *b"open", *b"123456789");
        let mut batch = SpanBatch::default();
        // SAFETY: arrays of this function, used by the batch alone.
        unsafe {
            batch.push(lost.as_mut_ptr(), 4, true, false);
            batch.push(kept.as_mut_ptr(), 9, true, true);
            batch.push(open.as_mut_ptr(), 4, false, false);
        }
        compiled.run(&mut batch);
        compiled.run(&mut SpanBatch::of_messages(&mut [&mut kept]));
        // What was abandoned does not come back when a span begins a message without its mark.
        let mut unmarked = *b"123456789";
        batch.clear();
        // SAFETY: as above.
        unsafe {
            batch.push(lost.as_mut_ptr(), 4, true, false);
            batch.push(kept.as_mut_ptr(), 9, true, true);
            batch.push(unmarked.as_mut_ptr(), 9, false, true);
        }
        compiled.run(&mut batch);
        let fnv = oracle::fnv64(FNV_BASIS, b"123456789");
        let results = compiled.results();
        assert_eq!(results.r[..3], [4 * 0xe306_9283, fnv.wrapping_mul(4), 48], "{isa}");
        assert_eq!(results.messages, 4);
    }
}

/// R0 and the bytes afterwards, of one op over one message.
fn one(isa: Isa, text: &str, message: &[u8]) -> (u64, Vec<u8>) {
    let mut bytes = message.to_vec();
    let mut compiled = Compiled::new(&Program::parse(text).unwrap(), isa);
    compiled.run(&mut SpanBatch::of_messages(&mut [&mut bytes]));
    (compiled.results().r[0], bytes)
}

#[test]
fn published_vectors_hold() {
    for isa in Isa::all_available() {
        let r0 = |text: &str, message: &[u8]| one(isa, text, message).0;
        assert_eq!(r0("crc32c", b"123456789"), 0xe306_9283);
        assert_eq!(r0("fnv64", b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(r0("fnv64", b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(r0("fnv64:packetfs", b""), 0x1465_0fb0_739d_0383);
        assert_eq!(r0("fnv64:packetfs", b"a"), 0x44bd_8ad4_73cd_9906);
        assert_eq!(r0("fnv64:packetfs", b"foobar"), 0x88fa_d7c0_a8ff_07f2);
        assert_eq!(r0("fnv64:packetfs", b"123456789"), 0xd24a_a2b0_8637_75fe);
        assert_eq!(r0("counteq:97", b"abracadabra"), 5);
        let hex = |bytes: Vec<u8>| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        assert_eq!(hex(one(isa, "xor:255", b"123456789").1), "cecdcccbcac9c8c7c6");
        assert_eq!(hex(one(isa, "add:7", b"123456789").1), "38393a3b3c3d3e3f40");
        // RFC 3720, B.4.
        let ascending: Vec<u8> = (0..32).collect();
        assert_eq!(r0("crc32c", &[0; 32]), 0x8a91_36aa);
        assert_eq!(r0("crc32c", &[0xff; 32]), 0x62a8_ab43);
        assert_eq!(r0("crc32c", &ascending), 0x46dd_794e);
    }
}

#[test]
fn chains_digest_the_concatenation_of_spans() {
    // Bytes 0..31 in spans (0,8), (8,8) and (28,4): what is left after clamping to the blob.
    for isa in Isa::all_available() {
        let program = Program::parse("crc32c:chain,fnv64:packetfs-chain,len").unwrap();
        let mut compiled = Compiled::new(&program, isa);
        let mut blob: Vec<u8> = (0..32).collect();
        let (head, tail) = blob.split_at_mut(28);
        let (first, second) = head.split_at_mut(8);
        compiled.run(&mut SpanBatch::of_messages(&mut [first, &mut second[..8], tail]));
        let r = compiled.results().r;
        assert_eq!(r[..3], [0x794d_4e98, 0x58c4_202c_4d7d_a52f, 20], "{isa}");
    }
}

#[test]
fn stats_count_batches_messages_and_bytes() {
    let mut compiled = Compiled::new(&Program::parse("fnv64,len").unwrap(), Isa::detect());
    let (mut a, mut b) = ([1u8; 100], [2u8; 50]);
    compiled.run(&mut SpanBatch::of_messages(&mut [&mut a, &mut b]));
    compiled.run(&mut SpanBatch::default());
    compiled.run(&mut SpanBatch::of_chain(&mut [&mut a, &mut b]));
    for stats in compiled.stats() {
        assert_eq!((stats.messages, stats.bytes, stats.batches), (3, 300, 2));
        assert!(stats.cycles > 0 || cfg!(not(target_arch = "x86_64")));
    }
}

#[test]
fn a_missing_level_falls_back_and_says_so() {
    let program = Program::parse("crc32c").unwrap();
    let here = Isa::all_available();
    for isa in Isa::ALL {
        let became = Compiled::new(&program, isa).isa();
        assert_eq!(became, if here.contains(&isa) { isa } else { Isa::Portable });
    }
}
