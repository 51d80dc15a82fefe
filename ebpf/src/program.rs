//! A loaded program with its rules, sockets and counters; attached or not.

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytemuck::Zeroable;

use crate::abi::{COUNT_WORDS, MAX_QUEUES, RULE_SLOTS, RawCounts, RawTable};
use crate::counters::{QueueCounters, RuleCounters, sum};
use crate::error::XdpError;
use crate::loader::{self, Loaded, Loader};
use crate::mapped::Mapped;
use crate::object::{OBJECT, Variant};
use crate::rules::{self, MAX_RULES, XdpRule};
use crate::sys;

/// What the kernel was told to do with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum XdpCode {
    /// The program failed: never by this program's own doing.
    Aborted,
    /// The frame is gone.
    Drop,
    /// To the stack.
    Pass,
    /// To the queue's AF_XDP socket.
    Redirect,
    /// Another code, which this program never gives.
    Other(u32),
}

/// The XDP program in the kernel, with its maps. Dropping it unloads it.
///
/// All methods take `&self` and may be called from any thread.
#[derive(Debug)]
pub struct Program {
    loaded: Loaded,
    variant: Variant,
    cpus: u32,
    active: Mutex<Active>,
    notes: Vec<String>,
}

/// The table that the program reads, and how many rules it has.
#[derive(Clone, Copy, Debug, Default)]
struct Active {
    table: u32,
    rules: u32,
}

impl Program {
    /// Loads the program with `rules`, for frames over several buffers where the kernel can.
    ///
    /// Minimum kernel: 5.10 (5.18 for frames over several buffers).
    ///
    /// # Errors
    /// A rule that cannot be, a missing capability, or the kernel's refusal.
    pub fn load(rules: &[XdpRule]) -> Result<Self, XdpError> {
        rules::check(rules)?;
        match Self::load_object(OBJECT, Variant::Frags, Loader::Aya, rules) {
            Err(XdpError::Load { detail, .. }) => {
                let mut program = Self::load_object(OBJECT, Variant::Single, Loader::Aya, rules)?;
                let why = detail.lines().next().unwrap_or_default();
                program.notes.push(format!(
                    "frames over several buffers are not taken (this needs Linux 5.18): {why}"
                ));
                Ok(program)
            }
            other => other,
        }
    }

    /// Loads one program of `object`, an ELF object aligned to 8 bytes with the maps of the
    /// embedded one, by the given loader.
    ///
    /// # Errors
    /// As [`Self::load`], and when the object lacks the program or a map.
    pub fn load_object(
        object: &[u8],
        variant: Variant,
        loader: Loader,
        rules: &[XdpRule],
    ) -> Result<Self, XdpError> {
        rules::check(rules)?;
        let cpus = aya::util::nr_cpus()
            .map_err(|(path, e)| XdpError::io(format!("counting CPUs in {path}"), e))?;
        let cpus = cpus as u32;
        let loaded = loader::load(loader, object, variant, cpus)?;
        let active = Mutex::default();
        let program = Self { loaded, variant, cpus, active, notes: Vec::new() };
        program.set_rules(rules)?;
        Ok(program)
    }

    /// Which of the object's two programs this is.
    #[must_use]
    pub const fn variant(&self) -> Variant {
        self.variant
    }

    /// What was asked for and not given at load; empty when all was.
    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The program's descriptor.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.loaded.program.as_fd()
    }

    /// The kernel's id of the program.
    pub(crate) fn id(&self) -> Result<u32, XdpError> {
        sys::program_info(self.fd())
            .map(|info| info.id)
            .map_err(|e| XdpError::io("asking the kernel about the program", e))
    }

    /// Gives queue `queue`'s frames to an AF_XDP socket, which must be bound to that queue of
    /// the interface. The kernel holds the socket until it is cleared or closed.
    ///
    /// # Errors
    /// A queue of [`MAX_QUEUES`] or more, or a descriptor that is no AF_XDP socket.
    pub fn set_socket(&self, queue: u32, socket: BorrowedFd<'_>) -> Result<(), XdpError> {
        within(queue)?;
        let value = socket.as_raw_fd().to_ne_bytes();
        // SAFETY: values of this map have 4 bytes, checked when it was collected.
        unsafe { sys::map_update(self.loaded.sockets.as_fd(), queue, &value) }
            .map_err(|e| XdpError::io(format!("giving queue {queue} to an AF_XDP socket"), e))?;
        self.loaded.open.word(queue as usize).store(1, Ordering::Release);
        Ok(())
    }

    /// Takes queue `queue`'s socket away; from then on its frames pass as `no_socket`. A queue
    /// without one is fine. Who may not use bpf(2) any more leaves the socket to the kernel until
    /// it is closed; frames go to it no more all the same.
    ///
    /// # Errors
    /// A queue of [`MAX_QUEUES`] or more.
    pub fn clear_socket(&self, queue: u32) -> Result<(), XdpError> {
        within(queue)?;
        self.loaded.open.word(queue as usize).store(0, Ordering::Release);
        match sys::map_delete(self.loaded.sockets.as_fd(), queue) {
            Err(e)
                if !matches!(e.raw_os_error(), Some(libc::ENOENT | libc::EINVAL | libc::EPERM)) =>
            {
                Err(XdpError::io(format!("clearing the socket of queue {queue}"), e))
            }
            _ => Ok(()),
        }
    }

    /// What became of the frames that came in on `queue`, since the program was loaded.
    ///
    /// # Errors
    /// A queue of [`MAX_QUEUES`] or more.
    pub fn counters(&self, queue: u32) -> Result<QueueCounters, XdpError> {
        within(queue)?;
        Ok(sum(self.counts(&self.loaded.queue_count, MAX_QUEUES, queue)).into())
    }

    /// What each rule decided since the rules were set, in the order of the rules.
    #[must_use]
    pub fn rule_counters(&self) -> Vec<RuleCounters> {
        let active = *self.lock();
        let first = active.table * MAX_RULES as u32;
        let slots = first..first + active.rules;
        slots
            .map(|slot| sum(self.counts(&self.loaded.rule_count, RULE_SLOTS, slot)).into())
            .collect()
    }

    /// Replaces all rules at once: each frame meets either the old list or the new one. Rule
    /// counters begin at 0; queue counters go on. Returns when no run under the old list is
    /// left, some milliseconds later.
    ///
    /// # Errors
    /// A rule that cannot be; then the old ones stay.
    pub fn set_rules(&self, rules: &[XdpRule]) -> Result<(), XdpError> {
        rules::check(rules)?;
        let mut active = self.lock();
        let next = Active { table: 1 - active.table, rules: rules.len() as u32 };
        self.write_table(next, rules).map_err(|e| XdpError::io("writing the rules", e))?;
        *active = next;
        // The table left behind is free to be written only when no run reads it.
        sys::wait_for_running_programs();
        Ok(())
    }

    fn write_table(&self, next: Active, rules: &[XdpRule]) -> io::Result<()> {
        let table = RawTable::new(rules);
        let first = next.table * MAX_RULES as u32;
        // Nobody counts there: frames meet the other table.
        for slot in first..first + next.rules {
            for word in self.rows(RULE_SLOTS, slot).flatten() {
                self.loaded.rule_count.word(word).store(0, Ordering::Relaxed);
            }
        }
        // SAFETY: a value of this map is one `RawTable`.
        unsafe {
            sys::map_update(self.loaded.tables.as_fd(), next.table, bytemuck::bytes_of(&*table))
        }?;
        // SAFETY: a value of this map is one `u32`.
        unsafe { sys::map_update(self.loaded.active.as_fd(), 0, &next.table.to_ne_bytes()) }
    }

    /// Runs the program in the kernel on one frame, as if it had come in on queue 0 of the
    /// loopback interface, and counts it. For tests, and to hold another matcher against it.
    ///
    /// # Errors
    /// The kernel refuses frames under 14 bytes (EINVAL), and callers without CAP_BPF.
    pub fn test_run(&self, frame: &[u8]) -> Result<XdpCode, XdpError> {
        let code = sys::test_run(self.fd(), frame).map_err(|e| {
            XdpError::io(format!("running the program on a frame of {} bytes", frame.len()), e)
        })?;
        Ok(match code {
            0 => XdpCode::Aborted,
            1 => XdpCode::Drop,
            2 => XdpCode::Pass,
            4 => XdpCode::Redirect,
            other => XdpCode::Other(other),
        })
    }

    /// The words of slot `slot` in each CPU's row of `slots` slots.
    fn rows(&self, slots: u32, slot: u32) -> impl Iterator<Item = Range<usize>> {
        (0..self.cpus).map(move |cpu| {
            let first = (cpu * slots + slot) as usize * COUNT_WORDS;
            first..first + COUNT_WORDS
        })
    }

    /// What each CPU counted in slot `slot` of rows of `slots` slots.
    fn counts(&self, map: &Mapped, slots: u32, slot: u32) -> impl Iterator<Item = RawCounts> {
        self.rows(slots, slot).map(|words| {
            let mut counts = RawCounts::zeroed();
            for (count, word) in counts.0.as_flattened_mut().iter_mut().zip(words) {
                *count = map.word(word).load(Ordering::Relaxed);
            }
            counts
        })
    }

    fn lock(&self) -> MutexGuard<'_, Active> {
        // The state is two plain numbers, written together at the end: never half done.
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn within(queue: u32) -> Result<(), XdpError> {
    if queue < MAX_QUEUES { Ok(()) } else { Err(XdpError::Queue { queue }) }
}
