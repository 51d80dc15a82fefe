//! Taking a program off an interface from outside the process that attached it.

use std::os::fd::AsFd;

use crate::error::XdpError;
use crate::owner::{self, Found, ProgramInfo};
use crate::{netlink, sys};

/// Takes our program off `iface`, and returns what it was and who still holds it; `None` when
/// there is none. A program that is not ours is taken off only with `force`.
///
/// One that a link holds is detached through its link: its owner keeps running, and sees no
/// more frames.
///
/// # Errors
/// No such interface, a foreign program without `force`, or a missing capability (CAP_SYS_ADMIN
/// for a link, CAP_NET_ADMIN otherwise).
pub fn detach(iface: &str, force: bool) -> Result<Option<ProgramInfo>, XdpError> {
    let Some(Found { info, ifindex, program, link }) = owner::find(iface)? else {
        return Ok(None);
    };
    let doing = || format!("taking XDP {info} off {iface}");
    if !info.ours && !force {
        // Without the right to ask for its name nobody can tell whose it is.
        if program.is_none() {
            sys::program_by_id(info.id).map_err(|e| XdpError::io(doing(), e))?;
        }
        return Err(XdpError::Foreign { owner: Box::new(info) });
    }
    match (link, program) {
        (Some(link), _) => sys::link_detach(link.as_fd()),
        (None, Some(program)) => {
            netlink::remove(ifindex, program.as_fd(), info.mode.flag_and_word().0)
        }
        (None, None) => sys::program_by_id(info.id).map(drop),
    }
    .map_err(|e| XdpError::io(doing(), e))?;
    Ok(Some(info))
}
