//! What the host granted to a group, and which plans it ran.

use pfs_rings::RegionGranted;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What the host granted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grants {
    /// Regions, with their pages, node and lock.
    pub memory: Vec<MemoryGrant>,
    /// Threads and processes that were pinned.
    pub threads: Vec<Pinned>,
}

/// One region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryGrant {
    /// What it is for.
    pub what: String,
    /// What was asked and given.
    pub granted: RegionGranted,
}

/// One thread or process on a core of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    /// What it does.
    pub what: String,
    /// The kernel's id of its core.
    pub core: u32,
    /// Whether its mask, read back, was that core alone.
    pub verified: bool,
}

/// A plan that ran, by its digest: equal digests, equal plans.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanHash {
    /// What it was for.
    pub what: String,
    /// SHA-256 of its JSON, in hexadecimal.
    pub sha256: String,
}

impl Grants {
    /// Adds a region's grant, if none that is equal is there.
    pub fn add(&mut self, what: &str, granted: &RegionGranted) {
        let grant = MemoryGrant { what: what.to_owned(), granted: granted.clone() };
        if !self.memory.contains(&grant) {
            self.memory.push(grant);
        }
    }

    /// Adds a thread that was pinned and whose mask was read back, if it is not there.
    pub fn pinned(&mut self, what: &str, core: u32) {
        let pinned = Pinned { what: what.to_owned(), core, verified: true };
        if !self.threads.contains(&pinned) {
            self.threads.push(pinned);
        }
    }
}

impl PlanHash {
    /// The digest of `plan`'s JSON.
    #[must_use]
    pub fn of<T: Serialize>(what: &str, plan: &T) -> Self {
        let json = serde_json::to_vec(plan).unwrap_or_default();
        let digest = Sha256::digest(&json);
        let hex = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { what: what.to_owned(), sha256: hex }
    }
}
