//! `pfs kv serve`.

use std::path::Path;

use pfs_kv::servers::{Limits, Serve, Server};
use pfs_kv::{DurableSettings, Store, StoreSettings, StoreShard};

use super::args::ServeArgs;
use super::link::open_store;
use crate::failure::Failure;
use crate::out;
use crate::run::figures::count;
use crate::run::stop_flag;

/// Serves until SIGINT or SIGTERM, then leaves everything durable.
///
/// # Errors
/// When the store cannot be opened, nothing listened on, or the server fails.
pub(super) fn serve(args: &ServeArgs) -> Result<(), Failure> {
    let auth = args.auth.as_ref().map(super::values::SecretFrom::secret).transpose()?.flatten();
    let (resp, cheetah) = args.addresses();
    let connections = args.connections as usize;
    let limits = Limits {
        connections,
        value_bytes: u32::try_from(args.max_value)
            .ok()
            .filter(|&most| most as usize <= pfs_kv::VALUE_MAX)
            .ok_or_else(|| Failure::usage("--max-value is at most 64MiB"))?,
        buffer_bytes: usize::try_from(args.max_buffers).unwrap_or(usize::MAX),
        stall: std::time::Duration::from_secs(args.stall),
        idle: std::time::Duration::from_secs(args.idle),
        ..Limits::default()
    };
    let stop = stop_flag()?;
    let store = open(args)?;
    let loops = args.threads as usize;
    let serve = Serve { resp, cheetah, auth, limits, loops, core: args.core, ..Serve::default() };
    let mut told = Ok(());
    let counters = serve.run(store, &stop, |server| told = tell(server, connections));
    let counters = counters.map_err(Failure::failed)?;
    told?;
    out::print(&format!(
        "stopped: {} connections, {} commands in {} bursts\n",
        count(counters.accepted),
        count(counters.commands),
        count(counters.bursts)
    ))
}

fn open(args: &ServeArgs) -> Result<Store, Failure> {
    let durable =
        DurableSettings { fsync: args.fsync, salvage: args.salvage, ..DurableSettings::default() };
    let shards = args.shards;
    let settings = StoreSettings {
        shards: shards.unwrap_or(args.threads),
        memory_bytes: args.max_memory,
        durable,
        ..StoreSettings::default()
    };
    let Some(folder) = &args.dir else {
        return Store::open(&settings).map_err(Failure::failed);
    };
    let (store, shards) = open_store(folder, shards, settings)?;
    out::print(&recovered(folder, shards, &store))?;
    Ok(store)
}

/// What was found in the folder, and what was cut or given up.
fn recovered(folder: &Path, shards: u32, store: &Store) -> String {
    let (mut text, mut changes, mut frames, mut bytes) = (String::new(), 0, 0, 0);
    for (at, shard) in store.shards().iter().enumerate() {
        let StoreShard::Durable(shard) = shard else { continue };
        let found = shard.recovered();
        changes += found.snapshot_changes;
        frames += found.frames;
        bytes += found.log_bytes;
        if found.cut_bytes > 0 {
            text += &format!(
                "shard {at}: cut {} bytes behind frame {}, a write that was under way\n",
                count(found.cut_bytes),
                found.last
            );
        }
        for lost in &found.lost {
            text += &format!("shard {at}: lost: {lost}\n");
        }
    }
    let keys: u64 = store.shards().iter().map(|shard| shard.shard().usage().keys).sum();
    format!(
        "{}: {shards} shards, {} keys; {} changes of snapshots, {} frames and {} bytes of logs\n{text}",
        folder.display(),
        count(keys),
        count(changes),
        count(frames),
        count(bytes)
    )
}

fn tell(server: &Server, asked: usize) -> Result<(), Failure> {
    let mut text = String::new();
    if let Some(address) = server.resp() {
        text += &format!("RESP on {address}\n");
    }
    if let Some(address) = server.cheetah() {
        text += &format!("lines on {address}\n");
    }
    if server.connections() < asked {
        text += &format!(
            "{} connections are taken, not {}: `ulimit -Hn` allows no more\n",
            count(server.connections() as u64),
            count(asked as u64)
        );
    }
    out::print(&(text + &format!("serving, pid {}\n", std::process::id())))
}
