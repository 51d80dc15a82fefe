//! Huge pages for DPDK.

use std::fs;

const POOL: &str = "/proc/sys/vm/nr_hugepages";
const INFO: &str = "/proc/meminfo";

/// Pages of 2 MiB that were added to the host's pool; taken away again when dropped.
#[derive(Debug)]
pub(super) struct HugePages {
    added: u64,
}

impl HugePages {
    /// Sees to it that `wanted` pages are free, as far as the host gives them; what it does not is
    /// said in `notes`.
    pub(super) fn ask(wanted: u64, notes: &mut Vec<String>) -> Self {
        let free = field(INFO, "HugePages_Free:").unwrap_or(0);
        let Some(before) = number(POOL).filter(|_| free < wanted) else { return Self { added: 0 } };
        let missing = wanted - free;
        if let Err(error) = fs::write(POOL, (before + missing).to_string()) {
            notes.push(format!(
                "no huge pages for DPDK: writing {POOL}: {error}; as root: echo {} > {POOL}",
                before + missing
            ));
            return Self { added: 0 };
        }
        let added = number(POOL).unwrap_or(before).saturating_sub(before);
        if added < missing {
            notes.push(format!(
                "the host gave {added} of {missing} huge pages of 2 MiB: its memory is full or in pieces"
            ));
        }
        Self { added }
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        // Others may have changed the pool meanwhile: only what was added here is taken away. If
        // that fails, the pages stay reserved until the next boot.
        if let Some(now) = number(POOL).filter(|_| self.added > 0) {
            let _ = fs::write(POOL, now.saturating_sub(self.added).to_string());
        }
    }
}

fn number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn field(path: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}
