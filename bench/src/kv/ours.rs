//! Our engine under the workload, in a process of its own.

use std::path::Path;

use pfs_kv::{
    DurableSettings, DurableShard, Fsync, Op, Replies, Reply, Scan, Shard, ShardSettings, Space,
};

use super::workload::{Figures, ROWS, Random, Strings, Workload, line, resident, timed, touch};

const SPACE: Space = Space(0);
/// Puts of a durable group.
const GROUP: usize = 1000;
/// Puts of a small group, and how many are made in such groups.
const SMALL: usize = 64;
const SMALL_PUTS: usize = 64_000;
/// Single durable commits.
const SINGLES: usize = 2000;
/// Memory that a shard may use: locations count units of 2 bytes up to here.
const MEMORY: u64 = 4 << 30;

fn rate(n: usize, seconds: f64) -> f64 {
    n as f64 / seconds / 1e6
}

/// Measures one engine of this program with `keys` keys, and prints the figures; or serves for the
/// one that measures servers.
///
/// # Errors
/// When an answer is wrong, or a system call fails.
pub fn child(engine: &str, keys: usize, folder: &Path) -> Result<(), String> {
    match engine {
        "serve" => return super::served::serve(None, keys),
        "serve-disk" => return super::served::serve(Some(folder), keys),
        "pfs-served" | "pfs-served-2" | "redis" => {
            println!("{}", line(&super::served::measure(engine, keys, folder)?));
            return Ok(());
        }
        _ => {}
    }
    let work = Workload::new(keys, (keys / 5).max(1));
    let figures = match engine {
        "pfs" => memory(&work)?,
        "pfs-disk" => disk(&work, folder)?,
        "pfs-packets" => super::packets::measure(&work, folder)?,
        "pfs-beside" => super::beside::measure(&work)?,
        other => {
            return Err(format!(
                "no engine {other}: pfs, pfs-disk, pfs-packets, pfs-beside, pfs-served, redis"
            ));
        }
    };
    println!("{}", line(&figures));
    Ok(())
}

fn check(what: &str, got: u64, want: u64) -> Result<(), String> {
    if got == want { Ok(()) } else { Err(format!("wrong answer from {what}: {got}, not {want}")) }
}

fn memory(work: &Workload) -> Result<Figures, String> {
    let before = resident();
    let mut shard = Shard::new(ShardSettings::single(MEMORY)).map_err(|error| error.to_string())?;
    let mut replies = Replies::new();
    let mut refused = 0;
    let (put, ()) = timed(|| {
        for (key, value) in work.keys.iter().zip(work.values.iter()) {
            shard.execute(&[Op::put(SPACE, key, value)], &mut replies);
            refused += u64::from(replies.get(0) != Some(Reply::Done));
        }
    });
    check("put", refused, 0)?;
    let n = work.keys.len();
    let usage = shard.usage();
    let mut figures: Figures = vec![
        ("put".into(), rate(n, put)),
        ("resident".into(), resident() - before),
        ("overhead".into(), usage.overhead()),
    ];
    read(work, &shard, &mut figures)?;
    let (execute, sum) = timed(|| execute(work, &mut shard, &mut replies));
    check("execute", sum, work.get_sum)?;
    figures.push(("execute".into(), rate(n, execute)));
    let (churn, refused) = timed(|| churn(work, &mut shard, &mut replies));
    check("overwrite", refused, 0)?;
    figures.push(("churn".into(), rate(n, churn)));
    figures.push(("churn_memory".into(), shard.usage().memory() as f64));
    Ok(figures)
}

/// Gets in bursts of 16 through operations and replies.
fn execute(work: &Workload, shard: &mut Shard, replies: &mut Replies) -> u64 {
    let asked: Vec<&[u8]> = work.asked.iter().collect();
    let mut sum = 0u64;
    for keys in asked.chunks(16) {
        let mut ops = [Op::get(SPACE, b""); 16];
        for (op, key) in ops.iter_mut().zip(keys) {
            *op = Op::get(SPACE, key);
        }
        shard.execute(&ops[..keys.len()], replies);
        for index in 0..keys.len() {
            sum = sum.wrapping_add(replies.value(shard, index).map_or(0, touch));
        }
    }
    sum
}

/// Overwrites random keys, as many as there are, with values of other lengths.
fn churn(work: &Workload, shard: &mut Shard, replies: &mut Replies) -> u64 {
    let (mut random, mut refused) = (Random(3), 0);
    let n = work.keys.len();
    for _ in 0..n {
        let key = work.keys.get((random.draw() % n as u64) as usize);
        let value = work.values.get((random.draw() % n as u64) as usize);
        shard.execute(&[Op::put(SPACE, key, value)], replies);
        refused += u64::from(replies.get(0) != Some(Reply::Done));
    }
    refused
}

fn read(work: &Workload, shard: &Shard, figures: &mut Figures) -> Result<(), String> {
    let n = work.keys.len();
    let value = |value: Option<&[u8]>| value.map_or(0, touch);
    let (get, sum) = timed(|| {
        work.asked.iter().fold(0u64, |sum, key| sum.wrapping_add(value(shard.get(SPACE, key))))
    });
    check("get", sum, work.get_sum)?;
    let asked: Vec<&[u8]> = work.asked.iter().collect();
    let (burst, sum) = timed(|| {
        let mut sum = 0u64;
        for keys in asked.chunks(16) {
            shard.get_many(SPACE, keys, |_, found| sum = sum.wrapping_add(value(found)));
        }
        sum
    });
    check("burst", sum, work.get_sum)?;
    let rows = |scan: &Scan<'_>, sum: u64| {
        shard.scan(scan).fold(sum, |sum, row| sum.wrapping_add(touch(row.value)))
    };
    let (scan, sum) = timed(|| {
        let prefixes = work.prefixes.iter();
        prefixes.fold(0, |sum, prefix| rows(&Scan { space: SPACE, prefix, ..Scan::default() }, sum))
    });
    check("scan", sum, work.scan_sum)?;
    let short = |places: &Strings| {
        timed(|| {
            places.iter().fold(0, |sum, place| {
                let (after, limit) = (Some(place), Some(ROWS));
                rows(&Scan { space: SPACE, after, limit, ..Scan::default() }, sum)
            })
        })
    };
    let ((seek, seek_sum), (place, place_sum)) = (short(&work.seeks), short(&work.places));
    let seeks = work.seeks.len();
    figures.extend([
        ("get".into(), rate(n, get)),
        ("burst".into(), rate(n, burst)),
        ("scan".into(), rate(n, scan)),
        ("seek".into(), rate(seeks, seek)),
        ("place".into(), rate(seeks, place)),
        ("seek_sum".into(), (seek_sum % (1 << 50)) as f64),
        ("place_sum".into(), (place_sum % (1 << 50)) as f64),
    ]);
    Ok(())
}

fn disk(work: &Workload, folder: &Path) -> Result<Figures, String> {
    let folder = tempfile::tempdir_in(folder).map_err(|error| error.to_string())?;
    let settings = DurableSettings { fsync: Fsync::Always, ..DurableSettings::default() };
    let open = || {
        let shard = ShardSettings::single(MEMORY);
        DurableShard::open(folder.path(), shard, settings).map_err(|error| error.to_string())
    };
    let mut shard = open()?;
    let mut replies = Replies::new();
    let mut refused = 0;
    let pairs: Vec<Op<'_>> = work
        .keys
        .iter()
        .zip(work.values.iter())
        .map(|(key, value)| Op::put(SPACE, key, value))
        .collect();
    let mut put = |shard: &mut DurableShard, ops: &[Op<'_>], group: usize| {
        for ops in ops.chunks(group) {
            let ticket = shard.execute(ops, &mut replies);
            let done = replies.iter().filter(|reply| *reply == Reply::Done).count();
            refused += u64::from(done != ops.len() || !shard.acknowledged(ticket));
        }
    };
    let (group, ()) = timed(|| put(&mut shard, &pairs, GROUP));
    let singles = &pairs[..SINGLES.min(pairs.len())];
    let small_puts = &pairs[..SMALL_PUTS.min(pairs.len())];
    let (small, ()) = timed(|| put(&mut shard, small_puts, SMALL));
    let (single, ()) = timed(|| put(&mut shard, singles, 1));
    check("durable put", refused, 0)?;
    drop(shard);
    let (recover, shard) = timed(open);
    let mut shard = shard?;
    let mut figures: Figures = vec![
        ("durable_group".into(), rate(work.keys.len(), group)),
        ("durable_small".into(), rate(small_puts.len(), small)),
        ("durable_single".into(), rate(singles.len(), single)),
        ("recover".into(), recover),
    ];
    shard.snapshot().map_err(|error| error.to_string())?;
    drop(shard);
    let (recover, shard) = timed(open);
    figures.push(("recover_snapshot".into(), recover));
    let shard = shard?;
    read(work, shard.shard(), &mut figures)?;
    Ok(figures)
}
