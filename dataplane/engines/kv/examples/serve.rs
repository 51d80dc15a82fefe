//! Serves an empty store in memory: `serve [RESP address [cheetah address]]`, until it is killed.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use pfs_kv::servers::Serve;
use pfs_kv::{Shard, ShardSettings};

fn main() -> Result<(), Box<dyn Error>> {
    let mut addresses = std::env::args().skip(1).map(|text| text.parse::<SocketAddr>());
    let resp = addresses.next().transpose()?.or_else(|| "127.0.0.1:6390".parse().ok());
    let cheetah = addresses.next().transpose()?;
    let store = Shard::new(ShardSettings::single(2 << 30))?;
    let server = Serve { resp, cheetah, ..Serve::default() }.start(store)?;
    println!(
        "pid {}: RESP on {:?}, lines on {:?}",
        std::process::id(),
        server.resp(),
        server.cheetah()
    );
    while server.is_running() {
        std::thread::sleep(Duration::from_millis(100));
    }
    server.stop()?;
    Ok(())
}
