//! The pool of a port's mbufs, in a region of ours, and the record of those on loan.

use std::ffi::CString;
use std::fmt;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use dpdk_sys as sys;
use pfs_rings::{Region, RegionGranted, RegionRequest, RegionView};

use super::eal;
use super::error::DpdkError;
use super::spec::DpdkSpec;

/// Bytes before a frame in its mbuf: `RTE_PKTMBUF_HEADROOM`.
const HEADROOM: u16 = 128;
/// Free mbufs that a thread keeps for itself.
const CACHE: u32 = 256;
/// The page that a pool is reckoned in.
const HUGE_PAGE: usize = 2 << 20;

/// A pool of mbufs that lie in a region.
///
/// Threads take and give mbufs through DPDK's own means, which let them do so at once.
#[derive(Debug)]
pub(crate) struct MbufPool {
    pool: NonNull<sys::Mempool>,
    view: RegionView,
    granted: RegionGranted,
    /// Bytes that EAL knows of.
    registered: usize,
    mbufs: u32,
}

// SAFETY: DPDK's pools may be used by any thread, and by several at once ("ring_mp_mc").
unsafe impl Send for MbufPool {}
// SAFETY: as above.
unsafe impl Sync for MbufPool {}

impl MbufPool {
    /// The mbufs that `spec` asks for. EAL must run.
    ///
    /// # Errors
    /// When there is no memory, or none that the device can use.
    pub(super) fn new(spec: &DpdkSpec) -> Result<Self, DpdkError> {
        let room = spec.frame_bytes + HEADROOM;
        let bytes = sys::pfs_pool_bytes(spec.frames, room, HUGE_PAGE, 0);
        let request = RegionRequest::new(bytes as u64).with_pages(spec.pages);
        let region = Region::create(&request).map_err(|error| {
            DpdkError::new(format!("memory for the mbufs of {}: {error}", spec.device), "")
        })?;
        let granted = region.granted().clone();
        // EAL without huge pages reckons with pages of 4 KiB, wherever the region lies.
        // SAFETY: EAL runs.
        let huge = granted.pages.is_hugetlb() && unsafe { sys::pfs_eal_has_hugepages() } != 0;
        if spec.is_pci() && !huge {
            return Err(DpdkError::new(
                format!(
                    "{} needs huge pages, for EAL and its mbufs, and these are in {}",
                    spec.device, granted.pages
                ),
                "sysctl -w vm.nr_hugepages=128, and no --no-huge",
            ));
        }
        let page = if huge { granted.pages.bytes() as usize } else { 4096 };
        let view = region.view();
        let (base, len) = (view.base().as_ptr().cast(), view.len());
        eal::listen();
        // SAFETY: EAL runs; the region is mapped there until the view is dropped, which outlives
        // the registration (`drop`).
        let rc = unsafe { sys::pfs_extmem_register(base, len, page) };
        let failed = |doing: &str, rc| {
            let doing = format!("the mbufs of {}: {doing}", spec.device);
            DpdkError::call(&doing, rc, &eal::said(), "")
        };
        if rc < 0 {
            return Err(failed("telling EAL of their memory", rc));
        }
        let (mut pool, mut step) = (ptr::null_mut(), ptr::null());
        let name = name();
        // SAFETY: the memory was registered with these pages; all pointers are good for the call.
        let rc = unsafe {
            sys::pfs_pool_create(
                name.as_ptr(),
                spec.frames,
                CACHE.min(spec.frames / 2),
                room,
                base,
                len,
                page,
                i32::from(!huge),
                &raw mut pool,
                &raw mut step,
            )
        };
        match NonNull::new(pool) {
            Some(pool) if rc == 0 => {
                Ok(Self { pool, view, granted, registered: len, mbufs: spec.frames })
            }
            _ => {
                // SAFETY: registered above, and nothing uses it.
                unsafe { sys::pfs_extmem_unregister(base, len) };
                Err(failed(&step_of(step), rc))
            }
        }
    }

    pub(crate) const fn raw(&self) -> *mut sys::Mempool {
        self.pool.as_ptr()
    }

    /// The region that the mbufs lie in.
    pub(crate) const fn view(&self) -> &RegionView {
        &self.view
    }

    pub(crate) const fn granted(&self) -> &RegionGranted {
        &self.granted
    }

    /// Mbufs, free or not.
    pub(crate) const fn mbufs(&self) -> u32 {
        self.mbufs
    }

    /// Free mbufs now.
    #[cfg(test)]
    pub(crate) fn available(&self) -> u32 {
        // SAFETY: the pool lives as long as `self`.
        unsafe { sys::pfs_pool_available(self.pool.as_ptr()) }
    }
}

impl Drop for MbufPool {
    fn drop(&mut self) {
        let base = self.view.base().as_ptr().cast();
        // SAFETY: the port that used the pool is closed: it holds the pool, and drops first.
        unsafe {
            sys::pfs_pool_free(self.pool.as_ptr());
            sys::pfs_extmem_unregister(base, self.registered);
        }
    }
}

/// A name that no other pool has.
fn name() -> CString {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("pfs-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
    CString::new(name).unwrap_or_default()
}

/// The words of the step at which a call of the shim failed.
pub(super) fn step_of(step: *const std::ffi::c_char) -> String {
    if step.is_null() {
        return String::new();
    }
    // SAFETY: steps are constant strings of the shim.
    unsafe { std::ffi::CStr::from_ptr(step) }.to_string_lossy().into_owned()
}

/// Which mbufs are on loan, by their places in the region.
///
/// A token is an mbuf's place in units of 64 bytes. Mbufs lie at least 512 bytes apart, so that a
/// slot of 512 holds the start of one at most; the slot keeps where in it that is while the mbuf is
/// on loan, and how it is to be freed. It is private memory of the receiver: a token that comes
/// back from a worker is good only as long as its mbuf is lent.
pub(crate) struct Loans {
    slots: Box<[u8]>,
    base: *mut u8,
    refused: u64,
}

// SAFETY: the base is an address to reckon with; what is read there is an mbuf that was lent.
unsafe impl Send for Loans {}

impl fmt::Debug for Loans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loans").field("refused", &self.refused).finish_non_exhaustive()
    }
}

/// Units of a token in a slot.
const SLOT_UNITS: usize = 512 / sys::MBUF_ALIGN;
/// Set in the slot of an mbuf that was lent as plain.
const PLAIN: u8 = 1 << 7;

/// An mbuf that has come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reclaimed {
    pub(crate) mbuf: *mut sys::Mbuf,
    /// Whether it was lent as one that needs no look when it is freed.
    pub(crate) plain: bool,
}

impl Loans {
    /// None yet, of mbufs in `view`.
    pub(crate) fn new(view: &RegionView) -> Self {
        let units = view.len().div_ceil(sys::MBUF_ALIGN);
        let slots = vec![0; units.div_ceil(SLOT_UNITS)].into_boxed_slice();
        Self { slots, base: view.base().as_ptr(), refused: 0 }
    }

    /// The token of `mbuf`, which is not lent by that.
    #[inline]
    pub(crate) fn token(&self, mbuf: *mut sys::Mbuf) -> u32 {
        ((mbuf as usize).wrapping_sub(self.base as usize) / sys::MBUF_ALIGN) as u32
    }

    /// Lends `mbuf` and gives its token; `None` for one that does not lie in the region. `plain`
    /// tells whether [`sys::Mbuf::oddity`] finds none.
    #[inline]
    pub(crate) fn lend(&mut self, mbuf: *mut sys::Mbuf, plain: bool) -> Option<u32> {
        let offset = (mbuf as usize).wrapping_sub(self.base as usize);
        let token = offset / sys::MBUF_ALIGN;
        let slot = self.slots.get_mut(token / SLOT_UNITS)?;
        *slot = (1 + (token % SLOT_UNITS) as u8) | if plain { PLAIN } else { 0 };
        Some(token as u32)
    }

    /// Takes the mbuf of `token` back; `None`, counted, where it is not on loan.
    #[inline]
    pub(crate) fn reclaim(&mut self, token: u32) -> Option<Reclaimed> {
        let token = token as usize;
        match self.slots.get_mut(token / SLOT_UNITS) {
            Some(slot) if usize::from(*slot & !PLAIN) == 1 + token % SLOT_UNITS => {
                let plain = *slot & PLAIN != 0;
                *slot = 0;
                // In bounds: the slot is one of the region's, and was lent from there.
                let mbuf = self.base.wrapping_add(token * sys::MBUF_ALIGN).cast();
                Some(Reclaimed { mbuf, plain })
            }
            _ => {
                self.refused += 1;
                None
            }
        }
    }

    /// Tokens that were refused.
    pub(crate) const fn refused(&self) -> u64 {
        self.refused
    }

    /// Takes all back that are on loan.
    pub(crate) fn reclaim_all(&mut self, mut each: impl FnMut(*mut sys::Mbuf)) {
        for at in 0..self.slots.len() {
            if self.slots[at] != 0 {
                let token = at * SLOT_UNITS + usize::from(self.slots[at] & !PLAIN) - 1;
                each(self.base.wrapping_add(token * sys::MBUF_ALIGN).cast());
                self.slots[at] = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_once() {
        let region = Region::create(&RegionRequest::new(1 << 16)).unwrap();
        let view = region.view();
        let mut loans = Loans::new(&view);
        let at = |offset: usize| view.base().as_ptr().wrapping_add(offset).cast::<sys::Mbuf>();
        let mbufs: Vec<_> = (0..20).map(|n| at(64 + n * 2432)).collect();
        let tokens: Vec<_> = mbufs
            .iter()
            .enumerate()
            .map(|(n, &mbuf)| loans.lend(mbuf, n % 2 == 0).unwrap())
            .collect();
        assert_eq!(loans.reclaim(tokens[3] + 1), None, "another place in the same slot");
        for (n, (&token, &mbuf)) in tokens.iter().zip(&mbufs).enumerate() {
            assert_eq!(loans.token(mbuf), token);
            assert_eq!(loans.reclaim(token), Some(Reclaimed { mbuf, plain: n % 2 == 0 }));
            assert_eq!(loans.reclaim(token), None);
        }
        assert_eq!(loans.reclaim(u32::MAX), None);
        assert_eq!(loans.refused(), 22);
        assert_eq!(loans.lend(at(1 << 20), true), None, "not in the region");
        loans.lend(mbufs[7], true);
        let mut found = Vec::new();
        loans.reclaim_all(|mbuf| found.push(mbuf));
        assert_eq!(found, [mbufs[7]]);
    }
}
