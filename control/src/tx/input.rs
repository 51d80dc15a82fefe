//! What is sent: a capture, a stream cut into payloads, or generated frames.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pfs_dataplane::receivers::Framing;
use pfs_dataplane::transmitters::SinkSpec;
use pfs_dataplane::transmitters::frames::{
    CaptureFrames, Envelope, FrameSize, FrameSource, GenerateSpec, GeneratedFrames, PayloadFrames,
};

use super::args::TxArgs;
use crate::failure::Failure;

/// How long a stream that gives nothing is waited for before the stop flag is looked at.
const PATIENCE_MS: u16 = 100;

/// An opened input.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) frames: FrameSource,
    /// How the frames begin.
    pub(super) framing: Framing,
    /// Frames in all, where that is known.
    pub(super) end: Option<u64>,
}

impl Input {
    pub(super) fn open(
        args: &TxArgs,
        to: &SinkSpec,
        stop: &Arc<AtomicBool>,
    ) -> Result<Self, Failure> {
        let payload_only = matches!(to, SinkSpec::Udp(_));
        match (&args.generate, &args.input, args.payload) {
            (Some(size), ..) => generated(args, *size, payload_only),
            (None, Some(path), Some(payload)) => {
                stream(args, path, payload as usize, payload_only, stop)
            }
            (None, Some(path), None) => capture(path, args.rounds, payload_only),
            (None, None, _) => Err(Failure::usage("give a FILE or --generate SIZE")),
        }
    }

    /// Frames that a capture holds only in part, and those skipped for headers that do not parse.
    pub(super) const fn odd(&self) -> (u64, u64) {
        match &self.frames {
            FrameSource::Capture(capture) => (capture.cut(), capture.skipped()),
            FrameSource::Payload(_) | FrameSource::Generated(_) => (0, 0),
        }
    }
}

fn capture(path: &Path, rounds: u64, payload_only: bool) -> Result<Input, Failure> {
    let mut capture = CaptureFrames::open(path, rounds).map_err(Failure::failed)?;
    let end = (rounds > 0).then(|| capture.packets().saturating_mul(rounds));
    let framing = if payload_only { Framing::Payload } else { capture.framing() };
    if payload_only {
        capture = capture.payload_only();
    }
    Ok(Input { frames: FrameSource::Capture(capture), framing, end })
}

fn generated(args: &TxArgs, size: FrameSize, payload_only: bool) -> Result<Input, Failure> {
    let mut spec = GenerateSpec { addresses: args.made.addresses(), ..GenerateSpec::of_size(size) };
    spec.flows = args.flows.unwrap_or(spec.flows);
    spec.seed = args.seed.unwrap_or(spec.seed);
    let mut frames = GeneratedFrames::new(&spec, args.count).map_err(Failure::usage)?;
    if payload_only {
        frames = frames.payload_only();
    }
    let framing = if payload_only { Framing::Payload } else { Framing::Ethernet };
    Ok(Input { frames: FrameSource::Generated(frames), framing, end: args.count })
}

fn stream(
    args: &TxArgs,
    path: &Path,
    payload: usize,
    payload_only: bool,
    stop: &Arc<AtomicBool>,
) -> Result<Input, Failure> {
    let stop = Arc::clone(stop);
    let (input, end): (Box<dyn Read + Send>, _) = if path.as_os_str() == "-" {
        (Box::new(Stoppable { inner: io::stdin(), stop }), None)
    } else {
        let file = File::open(path)
            .map_err(|error| Failure::failed(format!("opening {}: {error}", path.display())))?;
        let meta = file.metadata().ok().filter(std::fs::Metadata::is_file);
        let end = meta.map(|meta| meta.len().div_ceil(payload as u64));
        (Box::new(Stoppable { inner: file, stop }), end)
    };
    let addresses = args.made.addresses();
    let envelope = if payload_only {
        Envelope::Bare
    } else if args.made.ether {
        Envelope::Raw { src_mac: addresses.src_mac, dst_mac: addresses.dst_mac }
    } else {
        Envelope::Udp(addresses)
    };
    let framing = if payload_only { Framing::Payload } else { Framing::Ethernet };
    let name = if path.as_os_str() == "-" {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    };
    let frames = PayloadFrames::new(input, name, payload, envelope).map_err(Failure::usage)?;
    Ok(Input { frames: FrameSource::Payload(frames), framing, end })
}

/// A stream that ends when the command is to stop, though nothing more comes.
struct Stoppable<R> {
    inner: R,
    stop: Arc<AtomicBool>,
}

impl<R: Read + AsFd> Read for Stoppable<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.stop.load(Relaxed) {
                return Ok(0);
            }
            let mut fds = [PollFd::new(self.inner.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, PollTimeout::from(PATIENCE_MS)) {
                Ok(0) | Err(nix::errno::Errno::EINTR) => {}
                Ok(_) => return self.inner.read(into),
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}
