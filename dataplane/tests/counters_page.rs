//! `docs/COUNTERS.md` is the tables of `pfs_dataplane::counters`, and says what they say.

use std::path::Path;

use pfs_dataplane::counters::{
    CounterDef, CstCounters, DpdkCounters, KvCounters, LaneTotals, PVRT_TABLE, ReceiverCounters,
    SourceCounters, StepCounters, TokenCounters, VecCounters, WorkerCounters,
};
use pfs_dataplane::packet::Malformed;

fn section(page: &mut String, group: &str, what: &str, table: &[CounterDef]) {
    *page += &format!("\n## `{group}`: {what}\n\n| name | unit | meaning |\n|---|---|---|\n");
    for def in table {
        *page += &format!("| `{}` | {} | {} |\n", def.name, def.unit.name(), def.help);
    }
}

fn page() -> String {
    let mut page = String::from(
        "# Counters\n\n\
         Made from the tables in `dataplane/src/counters.rs`; after a change there run\n\
         `PFS_BLESS=1 cargo test -p pfs-dataplane --test counters_page`.\n\n\
         All are monotonic totals since the run began; none resets when read. In `/metrics` a name is\n\
         `pfs_<group>_<name>_<unit>_total`, the unit not said twice. In reports they stand under\n\
         `source_counters`, `counters` of a receiver, and `counters` of a worker.\n\n\
         The books: `offered = dropped_nic + dropped_kernel + filtered + dropped_no_frame +\n\
         dropped_ring_full + dropped_malformed + delivered`, with `filtered` and `dropped_malformed`\n\
         summed over source and receiver, and `delivered = consumed + bad_spans + in flight`. What is\n\
         left over is `residual`, which is 0 after every run.\n\n\
         `cycles` are ticks of the time-stamp counter. Rounds of a thread, and batches in a program's steps, that\n\
         take 16,384 ticks or more are all timed; of shorter ones one in seven is, and counted seven times.\n",
    );
    section(&mut page, "source", "what a backend counts before a batch", SourceCounters::TABLE);
    section(
        &mut page,
        "dpdk",
        "what the driver of a DPDK port says; part of `source` above as docs/BACKENDS.md tells",
        DpdkCounters::TABLE,
    );
    section(&mut page, "receiver", "what its thread counts after that", ReceiverCounters::TABLE);
    section(&mut page, "worker", "what a worker counts", WorkerCounters::TABLE);
    section(
        &mut page,
        "lane",
        "what has gone through the rings from one receiver to one worker; in live views alone",
        LaneTotals::TABLE,
    );
    section(
        &mut page,
        "step",
        "what each step of a rule's program has cost each worker; under `steps` of a rule's results",
        StepCounters::TABLE,
    );
    let engines = [
        ("token", TokenCounters::TABLE),
        ("kv", KvCounters::TABLE),
        ("pvrt", PVRT_TABLE),
        ("cst", CstCounters::TABLE),
        ("vec", VecCounters::TABLE),
    ];
    for (op, table) in engines {
        let what = format!(
            "what the op `{op}` counts, for each worker and rule; under `engines` of a rule's results"
        );
        section(&mut page, op, &what, table);
    }
    page += "\n## Kinds of `dropped_malformed`\n\nA receiver's report has them by name under `malformed`.\n\n";
    for kind in Malformed::ALL {
        page += &format!("- `{}`: {kind}\n", kind.name());
    }
    page
}

#[test]
fn the_page_says_what_the_tables_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/COUNTERS.md");
    let page = page();
    if std::env::var_os("PFS_BLESS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page, "docs/COUNTERS.md is out of date; run this test with PFS_BLESS=1");
}
