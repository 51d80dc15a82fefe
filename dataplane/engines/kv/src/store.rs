//! A store: shards by key hash, databases by name, scans over all shards in one order.
//!
//! A directory holds `store` (version, shards, seed), `databases` (a name and a number on each
//! line) and a folder for each shard.

use std::path::{Path, PathBuf};

use crate::databases::{Database, Databases};
use crate::durable::{
    DurableError, DurableSettings, DurableShard, IoContext, Lock, Ticket, unix_ms, write_whole,
};
use crate::op::{Op, OpError, Replies, Reply, Space};
use crate::shard::{NoJournal, Row, Scan, ScanRows, Shard, ShardSettings};
use crate::summary::{Branching, Summarizer, Summary};

/// Most shards of a store.
pub const SHARDS_MAX: u32 = 1024;
/// Pairs removed by one step of [`Store::purge_pairs`].
const PURGE_STEP: usize = 4096;

/// What a store is made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSettings {
    /// Shards, each with one owner; those of a directory once it was made.
    pub shards: u32,
    /// Memory for all of them in bytes.
    pub memory_bytes: u64,
    /// Where it is kept; `None` for a store in memory only.
    pub folder: Option<PathBuf>,
    /// How it is kept there.
    pub durable: DurableSettings,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self { shards: 1, memory_bytes: 1 << 30, folder: None, durable: DurableSettings::default() }
    }
}

/// A shard with or without a log on disk.
#[derive(Debug)]
pub enum StoreShard {
    /// In memory only.
    Memory(Box<Shard>),
    /// With a log.
    Durable(Box<DurableShard>),
}

impl StoreShard {
    /// The shard, to read and scan.
    #[must_use]
    pub fn shard(&self) -> &Shard {
        match self {
            Self::Memory(shard) => shard,
            Self::Durable(shard) => shard.shard(),
        }
    }

    /// Executes a burst; see [`DurableShard::execute`]. In memory, every write may be acknowledged.
    pub fn execute(&mut self, ops: &[Op<'_>], replies: &mut Replies) -> Ticket {
        match self {
            Self::Memory(shard) => {
                shard.execute(ops, replies);
                Ticket(0)
            }
            Self::Durable(shard) => shard.execute(ops, replies),
        }
    }

    /// Removes up to `most` keys with `prefix` in one step; see [`DurableShard::purge`].
    ///
    /// # Errors
    /// When writes are refused.
    pub fn purge(
        &mut self,
        space: Space,
        prefix: &[u8],
        most: usize,
    ) -> Result<(u64, bool, Ticket), OpError> {
        match self {
            Self::Memory(shard) => {
                let (removed, more) = shard.purge(space, prefix, most);
                Ok((removed, more, Ticket(0)))
            }
            Self::Durable(shard) => shard.purge(space, prefix, most),
        }
    }

    /// Removes all keys with `prefix` up to `last` in one step; as [`StoreShard::purge`].
    pub(crate) fn purge_to(
        &mut self,
        space: Space,
        prefix: &[u8],
        last: &[u8],
    ) -> Result<(u64, Ticket), OpError> {
        match self {
            Self::Memory(shard) => {
                let removed = shard.purge_to_noted(space, prefix, last, &mut NoJournal);
                Ok((removed, Ticket(0)))
            }
            Self::Durable(shard) => shard.purge_to(space, prefix, last),
        }
    }

    /// Whether the write with `ticket` may be acknowledged.
    #[must_use]
    pub fn acknowledged(&self, ticket: Ticket) -> bool {
        match self {
            Self::Memory(_) => true,
            Self::Durable(shard) => shard.acknowledged(ticket),
        }
    }

    /// Makes everything durable now.
    ///
    /// # Errors
    /// When it cannot be.
    pub fn flush(&mut self) -> Result<(), DurableError> {
        match self {
            Self::Memory(_) => Ok(()),
            Self::Durable(shard) => shard.flush(),
        }
    }

    /// Tells the time, in milliseconds since 1970.
    pub fn set_clock(&mut self, now: u64) {
        match self {
            Self::Memory(shard) => shard.set_clock(now),
            Self::Durable(shard) => shard.set_clock(now),
        }
    }

    /// Whether writes are refused until the shard is opened again, because its log failed.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        match self {
            Self::Memory(_) => false,
            Self::Durable(shard) => shard.is_poisoned(),
        }
    }

    /// Writes and syncs what is due; see [`DurableShard::commit`].
    pub fn commit(&mut self) {
        if let Self::Durable(shard) = self {
            shard.commit();
        }
    }

    /// Tells the time, and does work for an idle moment; whether there is more to do at once.
    pub fn poll(&mut self) -> bool {
        match self {
            Self::Memory(shard) => {
                shard.set_clock(unix_ms());
                shard.maintain(64 << 10)
            }
            Self::Durable(shard) => {
                shard.set_clock(unix_ms());
                shard.poll()
            }
        }
    }
}

/// All shards, owned by one thread until they are taken apart.
#[derive(Debug)]
pub struct Store {
    shards: Vec<StoreShard>,
    databases: Databases,
    /// Where the next absolute key comes from.
    turn: usize,
    _lock: Option<Lock>,
}

/// The directory's own word on itself.
struct Head {
    shards: u32,
    seed: u64,
}

impl Head {
    fn read_or_make(folder: &Path, shards: u32) -> Result<Self, DurableError> {
        let path = folder.join("store");
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                // Shards without it are not to be read with another seed.
                if folder.join("shard-0").exists() {
                    return Err(DurableError::Missing { path });
                }
                let seed = random_seed();
                let text = format!("pfs-kv 1\nshards {shards}\nseed {seed}\n");
                write_whole(&path, text.as_bytes())?;
                return Ok(Self { shards, seed });
            }
            read => read.doing("reading", &path)?,
        };
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|value| value.trim().parse::<u64>().ok())
        };
        match (field("pfs-kv "), field("shards "), field("seed ")) {
            (Some(1), Some(was), Some(seed)) if (1..=u64::from(SHARDS_MAX)).contains(&was) => {
                Ok(Self { shards: was as u32, seed })
            }
            _ => Err(DurableError::Damaged { path, at: 0, what: "it is no head of a store" }),
        }
    }
}

fn random_seed() -> u64 {
    // Without a source of randomness clients could guess it; the clock is the best that is left.
    getrandom::u64().unwrap_or_else(|_| unix_ms().wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

impl Store {
    /// Opens or makes a store, and recovers what is in its directory.
    ///
    /// # Errors
    /// As [`DurableShard::open`]; when the directory has another number of shards.
    pub fn open(settings: &StoreSettings) -> Result<Self, DurableError> {
        let asked = settings.shards.clamp(1, SHARDS_MAX);
        let Some(folder) = &settings.folder else { return Self::in_memory(asked, settings) };
        let lock = Lock::take(folder)?;
        let Head { shards, seed } = Head::read_or_make(folder, asked)?;
        if shards != asked {
            let path = folder.clone();
            return Err(DurableError::Shards { path, was: shards, asked });
        }
        let databases = Databases::open(Some(folder))?;
        let memory_bytes = settings.memory_bytes / u64::from(shards);
        let shards = (0..shards).map(|shard| {
            let settings_of = ShardSettings { memory_bytes, shard, shards, seed };
            let folder = folder.join(format!("shard-{shard}"));
            let shard = DurableShard::open(&folder, settings_of, settings.durable)?;
            Ok(StoreShard::Durable(Box::new(shard)))
        });
        let shards = shards.collect::<Result<_, DurableError>>()?;
        Ok(Self { shards, databases, turn: 0, _lock: Some(lock) })
    }

    fn in_memory(shards: u32, settings: &StoreSettings) -> Result<Self, DurableError> {
        let memory_bytes = settings.memory_bytes / u64::from(shards);
        let seed = random_seed();
        let made = (0..shards).map(|shard| {
            let made = Shard::new(ShardSettings { memory_bytes, shard, shards, seed });
            let mut shard = made.doing("reserving memory for", Path::new("a store in memory"))?;
            shard.set_clock(unix_ms());
            Ok(StoreShard::Memory(Box::new(shard)))
        });
        let shards = made.collect::<Result<_, DurableError>>()?;
        Ok(Self { shards, databases: Databases::open(None)?, turn: 0, _lock: None })
    }

    /// The databases.
    #[must_use]
    pub const fn databases(&self) -> &Databases {
        &self.databases
    }

    /// The database called `name`, which is made if it is not there.
    ///
    /// # Errors
    /// When the name is not allowed, or the list of databases cannot be written.
    pub fn database(&mut self, name: &str) -> Result<Database, DurableError> {
        self.databases.get_or_make(name)
    }

    /// The shards.
    #[must_use]
    pub fn shards(&self) -> &[StoreShard] {
        &self.shards
    }

    /// The shards, to execute on.
    pub fn shards_mut(&mut self) -> &mut [StoreShard] {
        &mut self.shards
    }

    /// Number of the shard that owns what `op` is about; new absolute keys go around.
    pub fn owner(&mut self, op: &Op<'_>) -> usize {
        let count = self.shards.len();
        if count == 1 {
            return 0;
        }
        match *op {
            Op::Get { space, key }
            | Op::Put { space, key, .. }
            | Op::Delete { space, key }
            | Op::Expire { space, key, .. }
            | Op::Add { space, key, .. } => self.shards[0].shard().owner(space, key),
            Op::Insert { .. } => {
                self.turn = (self.turn + 1) % count;
                (self.turn + count - 1) % count
            }
            Op::Read { absolute, .. } | Op::Edit { absolute, .. } | Op::Remove { absolute, .. } => {
                (absolute.wrapping_sub(1) % count as u64) as usize
            }
        }
    }

    /// Executes one operation at its owner: the answer, the shard and the ticket.
    pub fn execute_one(&mut self, op: &Op<'_>, replies: &mut Replies) -> (usize, Ticket) {
        let owner = self.owner(op);
        (owner, self.shards[owner].execute(std::slice::from_ref(op), replies))
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, space: Space, key: &[u8]) -> Option<&[u8]> {
        let first = self.shards.first()?.shard();
        self.shards.get(first.owner(space, key))?.shard().get(space, key)
    }

    /// The value of an absolute key.
    #[must_use]
    pub fn read(&self, space: Space, absolute: u64) -> Option<&[u8]> {
        let owner = absolute.checked_sub(1)? % self.shards.len() as u64;
        self.shards.get(owner as usize)?.shard().read(space, absolute)
    }

    /// Rows of all shards in the order of their keys.
    #[must_use]
    pub fn scan<'a>(&'a self, scan: &Scan<'a>) -> MergedRows<'a> {
        MergedRows::over(self.shards.iter().map(StoreShard::shard), scan)
    }

    /// Up to `limit` rows, each given to `each`; the cursor for the next page when there are more.
    pub fn page<'a>(
        &'a self,
        scan: &Scan<'a>,
        limit: usize,
        mut each: impl FnMut(&Row<'a>),
    ) -> Option<&'a [u8]> {
        let limited = Scan { limit: Some(limit.saturating_add(1)), ..*scan };
        let mut rows = self.scan(&limited);
        let mut last = None;
        for row in rows.by_ref().take(limit) {
            each(&row);
            last = Some(row.key);
        }
        rows.next().and(last)
    }

    /// What lies under `prefix` among the pairs of `database`: payloads are what they lead to;
    /// pairs that lead nowhere count with 0 bytes.
    #[must_use]
    pub fn summarize_pairs(
        &self,
        database: Database,
        prefix: &[u8],
        branching: Branching,
    ) -> Summary {
        let mut sum = Summarizer::new(prefix.len(), branching);
        let scan = Scan { space: database.pairs(), prefix, ..Scan::default() };
        for row in self.scan(&scan) {
            let absolute = pair_of(row.value);
            let payload = absolute.and_then(|absolute| self.read(database.objects(), absolute));
            sum.add(row.key, payload.map_or(0, <[u8]>::len) as u64);
        }
        sum.finish()
    }

    /// What lies under `prefix` among the keys of `space`.
    #[must_use]
    pub fn summarize(&self, space: Space, prefix: &[u8], branching: Branching) -> Summary {
        let mut sum = Summarizer::new(prefix.len(), branching);
        for row in self.scan(&Scan { space, prefix, ..Scan::default() }) {
            sum.add(row.key, row.value.len() as u64);
        }
        sum.finish()
    }

    /// Removes all pairs of `database` under `prefix`, hidden ones too, and what they lead to:
    /// the pairs of a shard in steps that are each recovered whole or not at all, the values before
    /// them. Call [`Store::flush`] before it is acknowledged.
    ///
    /// # Errors
    /// When writes are refused; what was removed by then is gone.
    pub fn purge_pairs(&mut self, database: Database, prefix: &[u8]) -> Result<u64, OpError> {
        let (mut replies, mut purged) = (Replies::new(), 0);
        for index in 0..self.shards.len() {
            loop {
                let scan = Scan {
                    space: database.pairs(),
                    prefix,
                    hidden: true,
                    limit: Some(PURGE_STEP),
                    ..Scan::default()
                };
                let rows = self.shards[index].shard().scan(&scan);
                let doomed: Vec<u64> = rows.filter_map(|row| pair_of(row.value)).collect();
                for absolute in doomed {
                    let remove = Op::Remove { space: database.objects(), absolute };
                    self.execute_one(&remove, &mut replies);
                    if let Some(Reply::Failed(error)) = replies.get(0) {
                        return Err(error);
                    }
                }
                let (removed, more, _) =
                    self.shards[index].purge(database.pairs(), prefix, PURGE_STEP)?;
                purged += removed;
                if !more {
                    break;
                }
            }
        }
        Ok(purged)
    }

    /// Makes everything durable now.
    ///
    /// # Errors
    /// When it cannot be.
    pub fn flush(&mut self) -> Result<(), DurableError> {
        self.shards.iter_mut().try_for_each(StoreShard::flush)
    }

    /// Takes the store apart, a shard for each owner. The directory stays locked by its shards.
    #[must_use]
    pub fn into_shards(self) -> (Vec<StoreShard>, Databases) {
        (self.shards, self.databases)
    }
}

/// A pair's value: an absolute key, 6 bytes, big-endian.
#[must_use]
pub fn pair_value(absolute: u64) -> [u8; 6] {
    let [_, _, value @ ..] = absolute.to_be_bytes();
    value
}

/// The absolute key in a pair's value.
#[must_use]
pub fn pair_of(value: &[u8]) -> Option<u64> {
    let &[a, b, c, d, e, f] = value else { return None };
    Some(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
}

/// Rows of several shards, ascending.
#[derive(Clone, Debug)]
pub struct MergedRows<'a> {
    shards: Vec<(Option<Row<'a>>, ScanRows<'a>)>,
    left: usize,
}

impl<'a> MergedRows<'a> {
    pub(crate) fn over(shards: impl Iterator<Item = &'a Shard>, scan: &Scan<'a>) -> Self {
        let shards = shards.map(|shard| {
            let mut rows = shard.scan(scan);
            (rows.next(), rows)
        });
        Self { shards: shards.collect(), left: scan.limit.unwrap_or(usize::MAX) }
    }
}

impl<'a> Iterator for MergedRows<'a> {
    type Item = Row<'a>;

    fn next(&mut self) -> Option<Row<'a>> {
        self.left = self.left.checked_sub(1)?;
        let heads = self.shards.iter_mut().filter(|(row, _)| row.is_some());
        let (row, rows) = heads.min_by_key(|(row, _)| row.map(|row| row.key))?;
        std::mem::replace(row, rows.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(shards: u32) -> Store {
        let settings = StoreSettings { shards, memory_bytes: 256 << 20, ..Default::default() };
        Store::open(&settings).unwrap()
    }

    #[test]
    fn pages_are_exact_at_any_number_of_shards() {
        for shards in [1, 2, 5] {
            let mut store = memory(shards);
            let mut replies = Replies::new();
            for n in 0..500u32 {
                let key = format!("{}:{}", n % 7, n);
                store.execute_one(
                    &Op::put(Space(0), key.as_bytes(), &n.to_be_bytes()),
                    &mut replies,
                );
                assert_eq!(replies.get(0), Some(Reply::Done));
            }
            let used = store.shards().iter().filter(|shard| shard.shard().len(Space(0)) > 50);
            assert_eq!(used.count(), shards as usize);
            let scan = Scan { prefix: b"3:", ..Scan::default() };
            let all: Vec<_> = store.scan(&scan).map(|row| row.key).collect();
            assert!(all.is_sorted() && all.len() == 71, "{}", all.len());
            let (mut paged, mut after) = (Vec::new(), None);
            loop {
                after = store.page(&Scan { after, ..scan }, 10, |row| paged.push(row.key));
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(paged, all);
            let exact = store.page(&scan, 71, |_| {});
            assert_eq!(exact, None, "no cursor when nothing is left");
        }
    }

    #[test]
    fn pairs_lead_to_values_and_go_with_them() {
        let mut store = memory(3);
        let db = store.database("default").unwrap();
        let mut replies = Replies::new();
        for n in 0..30u64 {
            let value = vec![1; n as usize];
            store.execute_one(&Op::Insert { space: db.objects(), value: &value }, &mut replies);
            assert_eq!(replies.get(0), Some(Reply::Absolute(n + 1)));
            let key = format!("{}/{n}", if n < 10 { "a" } else { "b" });
            let pair = pair_value(n + 1);
            store.execute_one(&Op::put(db.pairs(), key.as_bytes(), &pair), &mut replies);
        }
        let summary = store.summarize_pairs(db, b"", Branching::default());
        assert_eq!((summary.count, summary.payload_total), (30, 435));
        assert_eq!(summary.branches, [(b"b".to_vec(), 20), (b"a".to_vec(), 10)]);
        assert_eq!(store.purge_pairs(db, b"b/").unwrap(), 20);
        assert_eq!(store.scan(&Scan { space: db.pairs(), ..Scan::default() }).count(), 10);
        assert!(store.read(db.objects(), 11).is_none() && store.read(db.objects(), 10).is_some());
        assert_eq!(pair_of(&pair_value(0xffff_ffff_fffe)), Some(0xffff_ffff_fffe));
        assert_eq!(pair_of(b"short"), None);
    }

    #[test]
    fn a_directory_keeps_its_shards_seed_and_databases() {
        let folder = tempfile::tempdir().unwrap();
        let durable = DurableSettings { segment_bytes: 8192, ..Default::default() };
        let settings = StoreSettings {
            shards: 2,
            memory_bytes: 64 << 20,
            folder: Some(folder.path().into()),
            durable,
        };
        let mut store = Store::open(&settings).unwrap();
        let db = store.database("logs").unwrap();
        let mut replies = Replies::new();
        for n in 0..100u32 {
            let key = n.to_be_bytes();
            store.execute_one(&Op::put(db.keys(), &key, &key), &mut replies);
        }
        assert!(matches!(Store::open(&settings), Err(DurableError::Locked { .. })));
        drop(store);
        let mut store = Store::open(&settings).unwrap();
        assert_eq!(store.database("logs").unwrap(), db);
        let key = 7u32.to_be_bytes();
        assert_eq!(store.get(db.keys(), &key), Some(&key[..]));
        assert_eq!(store.scan(&Scan { space: db.keys(), ..Scan::default() }).count(), 100);
        drop(store);
        let other = StoreSettings { shards: 3, ..settings };
        assert!(matches!(Store::open(&other), Err(DurableError::Shards { was: 2, .. })));
    }
}
