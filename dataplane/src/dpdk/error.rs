//! What goes wrong with a port, in the terms of receiver and transmitter.

use std::ffi::{CStr, c_int};

use dpdk_sys as sys;

use crate::receivers::ReceiveError;
use crate::transmitters::TransmitError;

/// Something that cannot be, and what mends it; may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DpdkError {
    pub(crate) what: String,
    pub(crate) fix: String,
}

impl DpdkError {
    pub(crate) fn new(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), fix: fix.into() }
    }

    /// A call that returned `code`; `said` is what DPDK logged meanwhile.
    pub(super) fn call(doing: &str, code: c_int, said: &str, fix: impl Into<String>) -> Self {
        let said = if said.is_empty() { String::new() } else { format!(" ({said})") };
        Self::new(format!("{doing}: {}{said}", meaning(code)), fix)
    }
}

/// DPDK's words for an error number.
fn meaning(code: c_int) -> String {
    let text = sys::pfs_strerror(code.wrapping_abs());
    if text.is_null() {
        return format!("error {code}");
    }
    // SAFETY: DPDK gives a string that ends with 0, of this thread, good until its next call.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

impl From<DpdkError> for ReceiveError {
    fn from(error: DpdkError) -> Self {
        Self::Unsupported { what: error.what, fix: error.fix }
    }
}

impl From<DpdkError> for TransmitError {
    fn from(error: DpdkError) -> Self {
        Self::Unsupported { what: error.what, fix: error.fix }
    }
}
