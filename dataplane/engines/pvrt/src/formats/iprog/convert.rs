//! Between IPROG and programs.

use thiserror::Error;

use super::{FORMAT, Iprog, IprogWindow, hash16};
use crate::formats::error::FormatError;
use crate::formats::json;
use crate::formats::pox1::{self, Container};
use crate::program::{Program, Window};
use crate::rebuild::{self, Held, RebuildError, Source};
use crate::space::Space;

/// A program that cannot be written as IPROG.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("window {index} cannot be made, and its hash is asked for: {fault}")]
pub struct IprogError {
    /// The window.
    pub index: u64,
    /// Why.
    pub fault: RebuildError,
}

impl Iprog {
    /// `program` as IPROG. Windows that references alone make, with immediates up to 31, are written
    /// as such; others as containers of their bytes.
    ///
    /// # Errors
    /// When `space` does not have the bytes: each window is hashed.
    pub fn of(program: &Program, space: &Space<'_>) -> Result<Self, IprogError> {
        let mut windows = Vec::with_capacity(program.windows.len());
        let mut total = 0;
        let mut bytes = Vec::new();
        for (window, index) in program.windows.iter().zip(0..) {
            let failed = |fault| IprogError { index, fault };
            bytes.resize(window.bytes() as usize, 0);
            rebuild::window(space, &window.pieces, &window.raw, &mut bytes).map_err(failed)?;
            let pvrt = window.to_pox1(space).map_err(failed)?;
            total += pvrt.len() as u64;
            let brefs = pox1::brefs(window).unwrap_or_default();
            let pvrt = brefs.is_empty().then_some(pvrt);
            windows.push(IprogWindow { brefs, proto: None, hash16: hash16(&bytes), pvrt });
        }
        let tx_ratio = (program.size > 0).then(|| total as f64 / program.size as f64);
        Ok(Self {
            head: Held::new(program).head().clone(),
            windows,
            pvrt_total: Some(total),
            tx_ratio,
            policy: None,
        })
    }

    /// The program, its references resolved with the blob's size.
    ///
    /// # Errors
    /// When a window has neither references nor a container that makes it, or a reference means
    /// nothing.
    pub fn program(&self) -> Result<Program, FormatError> {
        let blob = self.head.blob.clone().unwrap_or_default();
        let windows = self.windows.iter().zip(0..).map(|(window, at)| {
            let named = |error: FormatError| json::wrong(FORMAT, format!("windows[{at}]: {error}"));
            let made = window.window(blob.size).map_err(named)?;
            let (len, want) = (made.bytes(), self.head.window_len(at) as u64);
            if len == want {
                return Ok(made);
            }
            Err(json::wrong(FORMAT, format!("windows[{at}] makes {len} bytes of {want}")))
        });
        Ok(Program {
            file: self.head.file.clone(),
            size: self.head.size,
            sha256: self.head.sha256.unwrap_or_default(),
            window_bytes: self.head.window_bytes,
            windows: windows.collect::<Result<_, _>>()?,
            blob,
        })
    }
}

impl IprogWindow {
    fn window(&self, blob: u64) -> Result<Window, FormatError> {
        match &self.pvrt {
            Some(pvrt) if self.brefs.is_empty() => Container::read(pvrt)?.window(blob),
            _ => Ok(Window { pieces: pox1::pieces(&self.brefs, blob)?, raw: Vec::new() }),
        }
    }
}
