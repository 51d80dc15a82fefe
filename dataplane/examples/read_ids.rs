//! Prints the records of a run's id ring: `pfs run … --ids ring:/tmp/ids.sock`, then this with the
//! socket's path.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use pfs_dataplane::ops::ids::{RingRead, RingReadError, RingReader};

fn main() -> ExitCode {
    let Some(socket) = std::env::args_os().nth(1) else {
        eprintln!("usage: read_ids SOCKET");
        return ExitCode::from(2);
    };
    match read(Path::new(&socket)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("read_ids: {error}");
            ExitCode::FAILURE
        }
    }
}

fn read(socket: &Path) -> Result<(), RingReadError> {
    let mut reader = RingReader::attach(socket)?;
    loop {
        match reader.next(Duration::from_secs(1))? {
            RingRead::Record(record, ids, lost) => {
                println!("{} stream {} lost {lost}: {ids:?}", record.ends, record.stream);
            }
            RingRead::Nothing => {}
            RingRead::End => return Ok(()),
        }
    }
}
