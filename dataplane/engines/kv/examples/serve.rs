//! Serves a store: `serve [RESP address [cheetah address [folder]]]`, until it is killed. Without a
//! folder the store is in memory.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;

use pfs_kv::servers::Serve;
use pfs_kv::{Store, StoreSettings};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let mut address = || args.next().map(|text| text.parse::<SocketAddr>()).transpose();
    let resp = address()?.or_else(|| "127.0.0.1:6390".parse().ok());
    let cheetah = address()?;
    let folder = args.next().map(Into::into);
    let settings = StoreSettings { memory_bytes: 2 << 30, folder, ..StoreSettings::default() };
    let store = Store::open(&settings)?;
    let until_killed = AtomicBool::new(false);
    Serve { resp, cheetah, ..Serve::default() }.run(store, &until_killed, |server| {
        let (resp, cheetah) = (server.resp(), server.cheetah());
        println!("pid {}: RESP on {resp:?}, lines on {cheetah:?}", std::process::id());
    })?;
    Ok(())
}
