//! RocksDB through its C interface (`rocksdb/c.h`, 7.8 and later), synced at each commit.

use std::ffi::{CString, c_char, c_double, c_int, c_uchar, c_void};
use std::path::Path;
use std::ptr::{NonNull, null_mut};

use crate::check;
use crate::disk::{GROUP, SINGLES, SMALL, SMALL_PUTS, rate};
use crate::workload::{Figures, ROWS, Workload, timed, touch};

/// Any of the interface's objects.
type Object = *mut c_void;
type Text = *mut c_char;

#[link(name = "rocksdb")]
unsafe extern "C" {
    fn rocksdb_options_create() -> Object;
    fn rocksdb_options_set_create_if_missing(options: Object, yes: c_uchar);
    fn rocksdb_options_set_compression(options: Object, kind: c_int);
    fn rocksdb_options_set_block_based_table_factory(options: Object, table: Object);
    fn rocksdb_block_based_options_create() -> Object;
    fn rocksdb_block_based_options_set_filter_policy(table: Object, policy: Object);
    fn rocksdb_block_based_options_set_block_cache(table: Object, cache: Object);
    fn rocksdb_filterpolicy_create_bloom_full(bits: c_double) -> Object;
    fn rocksdb_cache_create_lru(bytes: usize) -> Object;
    fn rocksdb_open(options: Object, name: *const c_char, error: *mut Text) -> Object;
    fn rocksdb_close(db: Object);
    fn rocksdb_writeoptions_create() -> Object;
    fn rocksdb_writeoptions_set_sync(options: Object, yes: c_uchar);
    fn rocksdb_writebatch_create() -> Object;
    fn rocksdb_writebatch_clear(batch: Object);
    fn rocksdb_writebatch_destroy(batch: Object);
    fn rocksdb_writebatch_put(
        batch: Object,
        key: *const u8,
        key_len: usize,
        value: *const u8,
        value_len: usize,
    );
    fn rocksdb_write(db: Object, options: Object, batch: Object, error: *mut Text);
    fn rocksdb_readoptions_create() -> Object;
    fn rocksdb_get_pinned(
        db: Object,
        options: Object,
        key: *const u8,
        len: usize,
        error: *mut Text,
    ) -> Object;
    fn rocksdb_pinnableslice_value(slice: Object, len: *mut usize) -> *const u8;
    fn rocksdb_pinnableslice_destroy(slice: Object);
    fn rocksdb_create_iterator(db: Object, options: Object) -> Object;
    fn rocksdb_iter_seek(rows: Object, key: *const u8, len: usize);
    fn rocksdb_iter_valid(rows: Object) -> c_uchar;
    fn rocksdb_iter_next(rows: Object);
    fn rocksdb_iter_key(rows: Object, len: *mut usize) -> *const u8;
    fn rocksdb_iter_value(rows: Object, len: *mut usize) -> *const u8;
    fn rocksdb_iter_destroy(rows: Object);
}

/// A database; options live as long as the process.
struct Rocks {
    db: Object,
    write: Object,
    read: Object,
}

/// Bytes that RocksDB lends.
///
/// # Safety
/// `lend` gives a pointer to as many bytes as it writes to its argument, which live as long as `'a`.
unsafe fn lent<'a>(lend: impl FnOnce(*mut usize) -> *const u8) -> &'a [u8] {
    let mut len = 0;
    let bytes = lend(&raw mut len);
    let bytes = NonNull::new(bytes.cast_mut()).unwrap_or(NonNull::dangling());
    // SAFETY: as the caller has it; an empty value may come without an address.
    unsafe { std::slice::from_raw_parts(bytes.as_ptr(), len) }
}

impl Rocks {
    /// Without compression, as our store has none; ten bits of filter a key and 1 GiB of cache.
    fn open(folder: &Path) -> Self {
        let name = CString::new(folder.as_os_str().as_encoded_bytes()).expect("a name");
        let mut error = null_mut();
        // SAFETY: every object is made by the function of its kind just before it is used, and options take
        // over what is set in them; `name` and `error` live through the call.
        unsafe {
            let table = rocksdb_block_based_options_create();
            let policy = rocksdb_filterpolicy_create_bloom_full(10.0);
            rocksdb_block_based_options_set_filter_policy(table, policy);
            rocksdb_block_based_options_set_block_cache(table, rocksdb_cache_create_lru(1 << 30));
            let options = rocksdb_options_create();
            rocksdb_options_set_create_if_missing(options, 1);
            rocksdb_options_set_compression(options, 0);
            rocksdb_options_set_block_based_table_factory(options, table);
            let db = rocksdb_open(options, name.as_ptr(), &raw mut error);
            assert!(error.is_null() && !db.is_null(), "RocksDB opens");
            let write = rocksdb_writeoptions_create();
            rocksdb_writeoptions_set_sync(write, 1);
            Self { db, write, read: rocksdb_readoptions_create() }
        }
    }

    /// Puts keys `from` to `to` in batches of `group`, each on disk when it is written.
    fn put(&self, work: &Workload, from: usize, to: usize, group: usize) {
        // SAFETY: the batch is made here and used by this thread alone; it copies keys and values; the
        // database and its options live as long as `self`.
        unsafe {
            let batch = rocksdb_writebatch_create();
            for start in (from..to).step_by(group) {
                rocksdb_writebatch_clear(batch);
                for index in start..(start + group).min(to) {
                    let (key, value) = (work.keys.get(index), work.values.get(index));
                    rocksdb_writebatch_put(
                        batch,
                        key.as_ptr(),
                        key.len(),
                        value.as_ptr(),
                        value.len(),
                    );
                }
                let mut error = null_mut();
                rocksdb_write(self.db, self.write, batch, &raw mut error);
                assert!(error.is_null(), "RocksDB writes");
            }
            rocksdb_writebatch_destroy(batch);
        }
    }

    /// The value of `key`, touched.
    fn get(&self, key: &[u8]) -> u64 {
        let mut error = null_mut();
        // SAFETY: the slice that is found lives until it is destroyed, behind its last use.
        unsafe {
            let (read, at) = (self.read, key.as_ptr());
            let found = rocksdb_get_pinned(self.db, read, at, key.len(), &raw mut error);
            assert!(error.is_null() && !found.is_null(), "RocksDB gets");
            let sum = touch(lent(|len| rocksdb_pinnableslice_value(found, len)));
            rocksdb_pinnableslice_destroy(found);
            sum
        }
    }

    /// The values of up to `most` rows from `seek` on that begin with `prefix`, touched and added to `sum`.
    fn rows(&self, seek: &[u8], prefix: &[u8], most: usize, mut sum: u64) -> u64 {
        // SAFETY: the iterator is made and destroyed here; what it lends lives until it moves, which is after
        // the last use.
        unsafe {
            let rows = rocksdb_create_iterator(self.db, self.read);
            rocksdb_iter_seek(rows, seek.as_ptr(), seek.len());
            for _ in 0..most {
                if rocksdb_iter_valid(rows) == 0
                    || !lent(|len| rocksdb_iter_key(rows, len)).starts_with(prefix)
                {
                    break;
                }
                sum = sum.wrapping_add(touch(lent(|len| rocksdb_iter_value(rows, len))));
                rocksdb_iter_next(rows);
            }
            rocksdb_iter_destroy(rows);
        }
        sum
    }
}

impl Drop for Rocks {
    fn drop(&mut self) {
        // SAFETY: nothing uses the database any more.
        unsafe { rocksdb_close(self.db) }
    }
}

/// RocksDB.
pub fn rocksdb(work: &Workload, folder: &Path) -> Figures {
    let folder = tempfile::tempdir_in(folder).expect("a folder");
    let db = Rocks::open(folder.path());
    let n = work.keys.len();
    let (group, ()) = timed(|| db.put(work, 0, n, GROUP));
    let small_puts = SMALL_PUTS.min(n);
    let (small, ()) = timed(|| db.put(work, 0, small_puts, SMALL));
    let (single, ()) = timed(|| db.put(work, 0, SINGLES.min(n), 1));
    let (get, sum) =
        timed(|| work.asked.iter().fold(0u64, |sum, key| sum.wrapping_add(db.get(key))));
    check("rocksdb", "get", sum, work.get_sum);
    let (scan, sum) = timed(|| {
        let prefixes = work.prefixes.iter();
        prefixes.fold(0, |sum, prefix| db.rows(prefix, prefix, usize::MAX, sum))
    });
    check("rocksdb", "scan", sum, work.scan_sum);
    let (seek, _) = timed(|| work.seeks.iter().fold(0, |sum, seek| db.rows(seek, b"", ROWS, sum)));
    vec![
        ("durable_group".into(), rate(n, group)),
        ("durable_small".into(), rate(small_puts, small)),
        ("durable_single".into(), rate(SINGLES.min(n), single)),
        ("get".into(), rate(n, get)),
        ("scan".into(), rate(n, scan)),
        ("seek".into(), rate(work.seeks.len(), seek)),
    ]
}
