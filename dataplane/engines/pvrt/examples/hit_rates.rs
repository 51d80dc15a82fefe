//! How much of real files the deterministic banks have.
//!
//! `hit_rates FOLDER...` plans every file of each folder against blobs of 16 MiB of each profile,
//! rebuilds and compares them, and prints a line of JSON for each folder and profile: the shares
//! of bytes by kind, and the bytes of references and zstd's raw bytes against zstd alone, a window
//! of 64 KiB at a time.

use std::error::Error;

use pfs_pvrt::blob::{Blob, Settings as BlobSettings};
use pfs_pvrt::formats::binary::WindowEncoder;
use pfs_pvrt::plan::{Planner, Settings, Tally};
use pfs_pvrt::{Identity, Piece, Profile, Window, rebuild};

const SIZE: u64 = 16 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let profiles =
        [("prand", Profile::Prand), ("palette", Profile::Palette), ("orchard", Profile::Orchard)];
    for folder in std::env::args().skip(1) {
        for (name, profile) in profiles {
            let identity = Identity::new("pfs_vblob", profile, SIZE, 1337);
            let blob = Blob::memory(&BlobSettings::new(identity, 0))?;
            let space = blob.space();
            let planner = Planner::new(&space, Settings { banks: 0..SIZE, ..Settings::default() });
            let (mut tally, mut alone, mut planned, mut hit) = (Tally::default(), 0, 0, 0);
            let mut encoder = WindowEncoder::new(3, &[])?;
            for entry in walkdir::WalkDir::new(&folder) {
                let entry = entry?;
                if !entry.file_type().is_file() {
                    continue;
                }
                let file = std::fs::read(entry.path())?;
                let mut lane = planner.lane()?;
                let mut any = false;
                for (n, bytes) in file.chunks(1 << 16).enumerate() {
                    let window = lane.plan(bytes, (n << 16) as u64);
                    let mut made = vec![0; bytes.len()];
                    rebuild::window(&space, &window.pieces, &window.raw, &mut made)?;
                    if made != bytes {
                        return Err(format!("{} comes out wrong", entry.path().display()).into());
                    }
                    tally.count(&window);
                    any |= window.pieces.iter().any(|piece| matches!(piece, Piece::Ref(_)));
                    planned += encoder.encode(&window)?.payload().len() as u64;
                    let raw =
                        Window { pieces: vec![Piece::Raw(bytes.len() as u32)], raw: bytes.into() };
                    alone += encoder.encode(&raw)?.payload().len() as u64;
                }
                hit += u64::from(any);
            }
            let share = |bytes: u64| 100.0 * bytes as f64 / tally.bytes.max(1) as f64;
            println!(
                "{{\"folder\":\"{folder}\",\"profile\":\"{name}\",\"bytes\":{},\"files_hit\":{hit},\"identity_%\":{:.3},\"xor_%\":{:.3},\"add_%\":{:.3},\"planned_bytes\":{planned},\"zstd_alone_bytes\":{alone}}}",
                tally.bytes,
                share(tally.identity.0),
                share(tally.xor.0),
                share(tally.add.0),
            );
        }
    }
    Ok(())
}
