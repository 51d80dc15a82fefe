//! An XDP program of somebody else: two instructions that pass everything.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Loads it under `name`, at most 15 bytes. Returns the program and its id.
pub(crate) fn load(name: &str) -> io::Result<(OwnedFd, u32)> {
    // r0 = XDP_PASS; exit
    let code: [u64; 2] = [0x0000_0002_0000_00B7, 0x95];
    let mut attr = [0_u64; 9];
    attr[0] = 6 | 2 << 32; // type, instructions
    attr[1] = code.as_ptr() as u64;
    attr[2] = c"GPL".as_ptr() as u64;
    // The name begins at byte 48.
    for (i, byte) in name.bytes().take(15).enumerate() {
        attr[6 + i / 8] |= u64::from(byte) << (8 * (i % 8));
    }
    let program = call(5, &mut attr)?;
    let mut info = [0_u32; 2];
    let mut attr = [program.as_raw_fd() as u64 | 8 << 32, info.as_mut_ptr() as u64];
    // SAFETY: the kernel writes at most the 8 bytes stated to `info`.
    let rc = unsafe { libc::syscall(libc::SYS_bpf, 15, attr.as_mut_ptr(), size_of_val(&attr)) };
    if rc == 0 { Ok((program, info[1])) } else { Err(io::Error::last_os_error()) }
}

/// Attaches it by a link, in the driver.
pub(crate) fn link(program: &OwnedFd, ifindex: i32) -> io::Result<OwnedFd> {
    let mut attr = [program.as_raw_fd() as u64 | (ifindex as u64) << 32, 37 | 4 << 32];
    call(28, &mut attr)
}

/// A bpf(2) command that returns a descriptor; its pointers are the callers' live values.
fn call(command: i32, attr: &mut [u64]) -> io::Result<OwnedFd> {
    // SAFETY: `attr` is as long as stated, and both callers' pointers in it are to live values.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, attr.as_mut_ptr(), size_of_val(attr)) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the command returned a new descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
