//! The shard against a model, and at its bounds.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::op::{Condition, Expiry, Op, OpError, Replies, Reply};

const S: Space = Space(0);

fn shard(mib: u64) -> Shard {
    Shard::new(ShardSettings::single(mib << 20)).unwrap()
}

fn one(shard: &mut Shard, op: Op<'_>) -> Reply {
    let mut replies = Replies::new();
    shard.execute(&[op], &mut replies);
    replies.get(0).unwrap()
}

fn rows(shard: &Shard, scan: &Scan<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
    shard.scan(scan).map(|row| (row.key.to_vec(), row.value.to_vec())).collect()
}

/// A key that is often a prefix of another, and a value of some length.
fn arbitrary_op() -> impl Strategy<Value = (u8, Vec<u8>, usize)> {
    let key = prop::collection::vec(0u8..3, 0..5);
    (any::<u8>(), key, prop_oneof![0usize..40, 3000usize..9000])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(48), ..ProptestConfig::default() })]

    #[test]
    fn any_operations_equal_a_model(ops in prop::collection::vec(arbitrary_op(), 1..400)) {
        let (mut shard, mut replies) = (shard(16), Replies::new());
        let mut model: BTreeMap<(u16, Vec<u8>), Vec<u8>> = BTreeMap::new();
        for (index, (kind, key, len)) in ops.iter().enumerate() {
            let space = Space(u16::from(kind >> 7));
            let value = vec![index as u8; *len];
            let at = (space.0, key.clone());
            match kind % 8 {
                0..4 => {
                    let reply = one(&mut shard, Op::put(space, key, &value));
                    prop_assert_eq!(reply, Reply::Done);
                    model.insert(at, value);
                }
                4 | 5 => {
                    let there = model.remove(&at).is_some();
                    let reply = one(&mut shard, Op::delete(space, key));
                    prop_assert_eq!(reply == Reply::Done, there);
                }
                6 => {
                    shard.execute(&[Op::get(space, key), Op::get(space, b"none")], &mut replies);
                    prop_assert_eq!(replies.value(&shard, 0), model.get(&at).map(Vec::as_slice));
                    prop_assert_eq!(replies.value(&shard, 1), None);
                }
                _ => {
                    let (removed, more) = shard.purge(space, key, 1000);
                    let before = model.len();
                    model.retain(|(other, k), _| *other != space.0 || !k.starts_with(key));
                    prop_assert_eq!((removed, more), ((before - model.len()) as u64, false));
                }
            }
        }
        for space in [0, 1] {
            let want: Vec<_> = model.iter().filter(|((s, _), _)| *s == space)
                .map(|((_, key), value)| (key.clone(), value.clone())).collect();
            let scan = Scan { space: Space(space), ..Scan::default() };
            prop_assert_eq!(rows(&shard, &scan), want);
        }
    }
}

/// Cases of a property test: `PFS_TEST_CASES` or a few.
fn cases(few: u32) -> u32 {
    std::env::var("PFS_TEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(few)
}

#[test]
fn conditions_numbers_and_times() {
    let mut shard = shard(16);
    shard.set_clock(1000);
    let put = |value, condition, expiry| Op::Put {
        space: S,
        key: b"k",
        value,
        expiry,
        condition,
        hidden: false,
    };
    assert_eq!(one(&mut shard, put(b"1", Condition::Present, Expiry::Never)), Reply::Unmet);
    assert_eq!(one(&mut shard, put(b"41", Condition::Absent, Expiry::At(2000))), Reply::Done);
    assert_eq!(one(&mut shard, put(b"1", Condition::Absent, Expiry::Never)), Reply::Unmet);
    assert_eq!(one(&mut shard, Op::Add { space: S, key: b"k", by: 1 }), Reply::Number(42));
    assert_eq!(one(&mut shard, Op::get(S, b"k")), Reply::Value { expiry: 2000 });
    assert_eq!(one(&mut shard, put(b"x", Condition::Present, Expiry::Keep)), Reply::Done);
    let nan = Reply::Failed(OpError::NotANumber);
    assert_eq!(one(&mut shard, Op::Add { space: S, key: b"k", by: 1 }), nan);
    shard.set_clock(2000);
    assert_eq!(one(&mut shard, Op::get(S, b"k")), Reply::Missing);
    assert_eq!(rows(&shard, &Scan::default()), []);
    assert_eq!(one(&mut shard, put(b"1", Condition::Present, Expiry::Never)), Reply::Unmet);
    assert_eq!(
        one(&mut shard, Op::Add { space: S, key: b"k", by: i64::MIN }),
        Reply::Number(i64::MIN)
    );
    let over = Reply::Failed(OpError::Overflow);
    assert_eq!(one(&mut shard, Op::Add { space: S, key: b"k", by: -1 }), over);
    let expire = |expiry| Op::Expire { space: S, key: b"k", expiry };
    assert_eq!(one(&mut shard, expire(Expiry::At(3000))), Reply::Done);
    assert_eq!(one(&mut shard, expire(Expiry::Never)), Reply::Done);
    assert_eq!(one(&mut shard, Op::get(S, b"k")), Reply::Value { expiry: 0 });
}

#[test]
fn expired_keys_are_swept_away() {
    let mut shard = shard(16);
    for n in 0..5000u32 {
        let expiry = if n % 2 == 0 { Expiry::At(10) } else { Expiry::Never };
        let (key, condition) = (&n.to_be_bytes()[..], Condition::Always);
        let op = Op::Put { space: S, key, value: b"v", expiry, condition, hidden: false };
        assert_eq!(one(&mut shard, op), Reply::Done);
    }
    shard.set_clock(10);
    assert_eq!(shard.scan(&Scan::default()).count(), 2500);
    for _ in 0..200 {
        shard.maintain(64 << 10);
    }
    assert_eq!(shard.len(S), 2500);
    assert_eq!(shard.expiring, 0);
}

#[test]
fn limits_of_keys_and_values() {
    let mut shard = shard(256);
    let long = vec![1u8; crate::VALUE_MAX + 1];
    let (key, value) = (&long[..crate::KEY_MAX], &long[..crate::VALUE_MAX]);
    assert_eq!(one(&mut shard, Op::put(S, key, value)), Reply::Done);
    assert!(shard.get(S, key) == Some(value));
    assert_eq!(one(&mut shard, Op::put(S, b"", b"empty")), Reply::Done);
    assert_eq!(shard.get(S, b""), Some(&b"empty"[..]));
    let longer = Reply::Failed(OpError::KeyTooLong { len: crate::KEY_MAX + 1 });
    assert_eq!(one(&mut shard, Op::put(S, &long[..=crate::KEY_MAX], b"")), longer);
    let longer = Reply::Failed(OpError::ValueTooLong { len: crate::VALUE_MAX + 1 });
    assert_eq!(one(&mut shard, Op::put(S, b"k", &long)), longer);
    for _ in 0..6 {
        assert_eq!(one(&mut shard, Op::put(S, key, &value[1..])), Reply::Done);
        assert_eq!(one(&mut shard, Op::put(S, key, value)), Reply::Done);
    }
    assert_eq!(one(&mut shard, Op::delete(S, key)), Reply::Done);
    assert!(shard.get(S, key).is_none());
}

#[test]
fn churn_is_cleaned_within_the_bound() {
    let (mut shard, mut seed) = (shard(24), 3u64);
    let mut model = BTreeMap::new();
    for n in 0..200_000u64 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let key = (seed >> 33) % 20_000;
        let value = vec![n as u8; 100 + (seed >> 60) as usize * 20];
        let reply = one(&mut shard, Op::put(S, &key.to_be_bytes(), &value));
        assert_eq!(reply, Reply::Done, "at {n}: {:?}", shard.usage());
        model.insert(key, value);
    }
    assert!(shard.usage().memory() <= 24 << 20, "{:?}", shard.usage());
    for (key, value) in &model {
        assert_eq!(shard.get(S, &key.to_be_bytes()), Some(value.as_slice()));
    }
    assert_eq!(shard.scan(&Scan::default()).count(), model.len());
    let payload: usize = model.values().map(|value| value.len() + 8).sum();
    assert_eq!(shard.usage().payload, payload as u64);
}

#[test]
fn a_full_shard_refuses_writes_and_reads_on() {
    let mut shard = shard(16);
    let value = vec![7u8; 1000];
    let mut stored = 0u32;
    let refusal = loop {
        match one(&mut shard, Op::put(S, &stored.to_be_bytes(), &value)) {
            Reply::Done => stored += 1,
            other => break other,
        }
    };
    assert_eq!(refusal, Reply::Failed(OpError::Full { bound: 16 << 20 }));
    assert!(stored > 8_000, "{stored}");
    assert!((0..stored).all(|n| shard.get(S, &n.to_be_bytes()) == Some(&value)));
    assert_eq!(shard.scan(&Scan::default()).count(), stored as usize);
    for n in 0..stored / 2 {
        assert_eq!(one(&mut shard, Op::delete(S, &n.to_be_bytes())), Reply::Done);
    }
    for n in 0..stored / 4 {
        assert_eq!(one(&mut shard, Op::put(S, &n.to_be_bytes(), &value)), Reply::Done);
    }
    assert_eq!(shard.len(S), u64::from(stored - stored / 2 + stored / 4));
}

#[test]
fn absolute_keys_are_never_given_out_twice() {
    let settings = ShardSettings { shard: 1, shards: 3, ..ShardSettings::single(16 << 20) };
    let mut shard = Shard::new(settings).unwrap();
    for n in 0..100u64 {
        let value = n.to_be_bytes();
        let reply = one(&mut shard, Op::Insert { space: S, value: &value });
        assert_eq!(reply, Reply::Absolute(n * 3 + 2));
        assert_eq!(shard.read(S, n * 3 + 2), Some(&value[..]));
        if n % 2 == 0 {
            let remove = Op::Remove { space: S, absolute: n * 3 + 2 };
            assert_eq!(one(&mut shard, remove), Reply::Done);
            assert_eq!(one(&mut shard, remove), Reply::Missing);
        }
    }
    for absolute in [0, 1, 3, u64::MAX] {
        assert_eq!(one(&mut shard, Op::Read { space: S, absolute }), Reply::Missing);
        assert_eq!(one(&mut shard, Op::Edit { space: S, absolute, value: b"" }), Reply::Missing);
    }
    assert_eq!(one(&mut shard, Op::Edit { space: S, absolute: 5, value: b"new" }), Reply::Done);
    let mut found = Vec::new();
    let mut from = Some(1);
    while let Some(at) = from {
        from = shard.each_object(S, at, |absolute, value| found.push((absolute, value.len())));
    }
    assert_eq!(found.len(), 50);
    assert_eq!((found[0], found[1]), ((5, 3), (11, 8)));
    shard.reset(S);
    assert_eq!((shard.objects(S), shard.next_absolute(S)), (0, 302));
}

#[test]
fn pages_by_cursor_are_the_whole_scan() {
    let mut shard = shard(16);
    for n in 0..1000u32 {
        let key = format!("{}{n}", if n % 3 == 0 { "a" } else { "ab" });
        let (value, condition) = (&n.to_be_bytes()[..], Condition::Always);
        let hidden = n % 5 == 0;
        let key = key.as_bytes();
        let op = Op::Put { space: S, key, value, expiry: Expiry::Never, condition, hidden };
        assert_eq!(one(&mut shard, op), Reply::Done);
    }
    for (prefix, hidden, count) in [(&b"a"[..], true, 1000), (b"ab", false, 533), (b"b", true, 0)] {
        let scan = Scan { space: S, prefix, after: None, hidden, limit: None };
        let whole = rows(&shard, &scan);
        assert_eq!(whole.len(), count);
        assert!(whole.is_sorted());
        let (mut paged, mut after) = (Vec::new(), None::<Vec<u8>>);
        loop {
            let scan = Scan { after: after.as_deref(), limit: Some(7), ..scan };
            let page: Vec<_> = shard.scan(&scan).collect();
            let Some(last) = page.last() else { break };
            let last = last.key.to_vec();
            paged.extend(page.iter().map(|row| (row.key.to_vec(), row.value.to_vec())));
            after = Some(last);
        }
        assert_eq!(paged, whole);
    }
}

#[test]
fn values_of_an_earlier_burst_are_not_to_be_had() {
    let mut shard = shard(16);
    let mut replies = Replies::new();
    shard
        .execute(&[Op::put(S, b"k", b"v"), Op::get(S, b"k"), Op::put(S, b"k", b"w")], &mut replies);
    assert_eq!(replies.value(&shard, 1), Some(&b"v"[..]));
    shard.execute(&[Op::get(S, b"k")], &mut replies);
    assert_eq!(replies.value(&shard, 0), Some(&b"w"[..]));
    let other = Shard::new(ShardSettings::single(16 << 20)).unwrap();
    assert_eq!(replies.value(&other, 0), None);
    one(&mut shard, Op::put(S, b"k", b"x"));
    assert_eq!(replies.value(&shard, 0), None);
}
