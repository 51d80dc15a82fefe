//! Engines in memory.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::check;
use crate::workload::{Figures, ROWS, Strings, Workload, resident, timed, touch};

type Bytes = Box<[u8]>;

fn rate(n: usize, seconds: f64) -> f64 {
    n as f64 / seconds / 1e6
}

fn pairs(work: &Workload) -> impl Iterator<Item = (&[u8], &[u8])> {
    work.keys.iter().zip(work.values.iter())
}

/// hashbrown with foldhash: the best that a hash map of owned bytes does.
pub fn hashbrown(work: &Workload) -> Figures {
    let before = resident();
    let mut map: hashbrown::HashMap<Bytes, Bytes, foldhash::fast::RandomState> =
        hashbrown::HashMap::default();
    let (put, ()) = timed(|| {
        for (key, value) in pairs(work) {
            map.insert(key.into(), value.into());
        }
    });
    let memory = resident() - before;
    let (get, sum) =
        timed(|| work.asked.iter().fold(0u64, |sum, key| sum.wrapping_add(touch(&map[key]))));
    check("hashbrown", "get", sum, work.get_sum);
    let n = work.keys.len();
    vec![("put".into(), rate(n, put)), ("get".into(), rate(n, get)), ("resident".into(), memory)]
}

/// The standard ordered map.
pub fn btreemap(work: &Workload) -> Figures {
    let before = resident();
    let mut map: BTreeMap<Bytes, Bytes> = BTreeMap::new();
    let (put, ()) = timed(|| {
        for (key, value) in pairs(work) {
            map.insert(key.into(), value.into());
        }
    });
    let memory = resident() - before;
    let (get, sum) =
        timed(|| work.asked.iter().fold(0u64, |sum, key| sum.wrapping_add(touch(&map[key]))));
    check("btreemap", "get", sum, work.get_sum);
    let from = |key: &[u8]| (Bound::Included(Box::from(key)), Bound::<Bytes>::Unbounded);
    let (scan, sum) = timed(|| {
        work.prefixes.iter().fold(0u64, |sum, prefix| {
            let rows = map.range(from(prefix)).take_while(|(key, _)| key.starts_with(prefix));
            rows.fold(sum, |sum, (_, value)| sum.wrapping_add(touch(value)))
        })
    });
    check("btreemap", "scan", sum, work.scan_sum);
    let short = |from_here: &Strings| {
        timed(|| {
            from_here.iter().fold(0u64, |sum, place| {
                let rows = map.range(from(place)).take(ROWS);
                rows.fold(sum, |sum, (_, value)| sum.wrapping_add(touch(value)))
            })
        })
    };
    let ((seek, seek_sum), (place, place_sum)) = (short(&work.seeks), short(&work.places));
    let n = work.keys.len();
    vec![
        ("put".into(), rate(n, put)),
        ("get".into(), rate(n, get)),
        ("scan".into(), rate(n, scan)),
        ("seek".into(), rate(work.seeks.len(), seek)),
        ("place".into(), rate(work.places.len(), place)),
        ("seek_sum".into(), (seek_sum % (1 << 50)) as f64),
        ("place_sum".into(), (place_sum % (1 << 50)) as f64),
        ("resident".into(), memory),
    ]
}

/// An adaptive radix tree. It does not take keys that are prefixes of others; here none is.
pub fn blart(work: &Workload) -> Figures {
    let before = resident();
    let mut map: blart::TreeMap<Bytes, Bytes> = blart::TreeMap::new();
    let (put, ()) = timed(|| {
        for (key, value) in pairs(work) {
            map.try_insert(key.into(), value.into()).expect("no key is a prefix of another");
        }
    });
    let memory = resident() - before;
    let (get, sum) = timed(|| {
        let value = |key: &[u8]| touch(map.get(key).expect("every key is there"));
        work.asked.iter().fold(0u64, |sum, key| sum.wrapping_add(value(key)))
    });
    check("blart", "get", sum, work.get_sum);
    let n = work.keys.len();
    vec![("put".into(), rate(n, put)), ("get".into(), rate(n, get)), ("resident".into(), memory)]
}
