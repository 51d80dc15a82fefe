//! One trial: frames sent at a load, and where each of them went.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use pfs_dataplane::books::Books;
use pfs_dataplane::netns::ip;
use serde::{Deserialize, Serialize};

use super::contender::Peer;
use super::process::{Cores, OurReceiver, PeerReceiver};
use super::receive::Look;
use super::sender::{Sender, Sent};
use super::wire::Wire;
use crate::interrupt;

/// After the last frame, how long a peer is left to take what has come: a packet ring's last block
/// is handed over only when its time is up.
const SETTLE: Duration = Duration::from_millis(240);
/// How long nothing may come before what is missing is taken to be lost without a count. A receiver
/// whose core is taken away comes back within this.
const QUIET: Duration = Duration::from_secs(1);
/// Longest that is waited for a receiver with a backlog.
const DRAIN: Duration = Duration::from_secs(5);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(10);

/// What one trial gave.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Trial {
    /// Frames a second that were asked for; none: top speed.
    pub(super) load: Option<f64>,
    /// Frames that the sender put on the wire.
    pub(super) sent: u64,
    /// Seconds of sending.
    pub(super) seconds: f64,
    /// Whether the sender could not keep the load.
    pub(super) sender_short: bool,
    /// Frames that the receiver has got, and done with.
    pub(super) delivered: u64,
    /// Frames lost, by cause; only causes that took any.
    pub(super) lost: BTreeMap<String, u64>,
    /// Frames in nobody's account: negative when more is accounted for than was sent.
    pub(super) unaccounted: i64,
    /// The residual of our receiver's books; none for a peer.
    pub(super) residual: Option<u64>,
    /// Share of a core that the receiver's process used while frames were sent.
    pub(super) cpu: f64,
}

/// What came by the sender, at the ends of the wire.
pub(super) struct Bench<'a> {
    /// The wire.
    pub(super) wire: &'a Wire,
    /// Its sender.
    pub(super) sender: &'a mut Sender,
    /// Where both run.
    pub(super) cores: Cores,
}

impl Trial {
    /// Frames delivered a second of sending.
    pub(super) fn rate(&self) -> f64 {
        self.delivered as f64 / self.seconds.max(1e-9)
    }

    /// Frames sent a second.
    pub(super) fn sent_rate(&self) -> f64 {
        self.sent as f64 / self.seconds.max(1e-9)
    }

    /// Share of the frames sent that did not come through.
    pub(super) fn loss_ratio(&self) -> f64 {
        self.sent.saturating_sub(self.delivered) as f64 / self.sent.max(1) as f64
    }

    /// Whether every frame is in our books, and every frame that our end saw is one that was sent.
    pub(super) fn is_right(&self) -> bool {
        self.residual.is_none_or(|residual| residual == 0 && self.unaccounted == 0)
    }

    fn of(sent: Sent, load: Option<f64>, cpu: f64) -> Self {
        Self {
            load,
            sent: sent.frames,
            seconds: sent.seconds,
            sender_short: sent.short,
            cpu,
            ..Self::default()
        }
    }

    /// Puts `lost` beside what the wire has dropped: what a receiver has no room for, a wire may
    /// count once more.
    fn account(&mut self, lost: u64, link: u64) {
        let on_the_wire = link.saturating_sub(lost);
        if on_the_wire > 0 {
            self.lost.insert("wire".to_owned(), on_the_wire);
        }
        let known = self.delivered + lost + on_the_wire;
        self.unaccounted = self.sent.cast_signed() - known.cast_signed();
    }
}

/// Sends to our receiver, which runs on.
///
/// # Errors
/// When the link or the receiver is gone, or a signal asks to stop.
pub(super) fn ours(
    bench: &mut Bench<'_>,
    receiver: &mut OurReceiver,
    time: Duration,
    load: Option<f64>,
    stamps: bool,
) -> Result<(Trial, Look), String> {
    unless_interrupted()?;
    let before = receiver.look()?;
    let drops = link_drops(bench.wire);
    let (cpu, from) = (receiver.cpu()?, Instant::now());
    let sent = bench.sender.send(time, load, stamps)?;
    let used = (receiver.cpu()? - cpu) as f64 / from.elapsed().as_nanos() as f64;
    let on_wire = || link_drops(bench.wire).saturating_sub(drops);
    let after = settle(receiver, &before.books, sent.frames, on_wire)?;
    let mut trial = Trial::of(sent, load, used);
    trial.delivered = after.books.consumed - before.books.consumed;
    trial.residual = Some(after.books.residual);
    let causes = causes(&before.books, &after.books);
    let lost = causes.iter().map(|(_, frames)| frames).sum();
    trial.lost = causes
        .into_iter()
        .filter(|(_, frames)| *frames > 0)
        .map(|(cause, frames)| (cause.to_owned(), frames))
        .collect();
    trial.account(lost, on_wire());
    Ok((trial, after))
}

/// Looks until every frame sent is in the books or was dropped by the wire, or no more has come for
/// long. The waits of all looks are in the last.
fn settle(
    receiver: &mut OurReceiver,
    before: &Books,
    sent: u64,
    on_wire: impl Fn() -> u64,
) -> Result<Look, String> {
    let deadline = Instant::now() + DRAIN;
    let (mut known, mut since) = (0, Instant::now());
    let mut waits = Vec::new();
    loop {
        let mut look = receiver.look()?;
        waits.append(&mut look.waits);
        let (delivered, lost) = (
            look.books.consumed - before.consumed,
            look.books.dropped().saturating_sub(before.dropped()),
        );
        // What a receiver has no room for, a wire may count once more.
        let now = delivered + lost.max(on_wire());
        if now != known {
            (known, since) = (now, Instant::now());
        }
        let all = known >= sent || since.elapsed() >= QUIET;
        if all && look.books.residual == 0 || Instant::now() >= deadline {
            return Ok(Look { waits, ..look });
        }
        thread::sleep(LOOK);
    }
}

fn causes(before: &Books, after: &Books) -> [(&'static str, u64); 5] {
    let since = |of: fn(&Books) -> u64| of(after).saturating_sub(of(before));
    [
        ("nic", since(|books| books.dropped_nic)),
        ("kernel", since(|books| books.dropped_kernel)),
        ("no frame", since(|books| books.dropped_no_frame)),
        ("ring full", since(|books| books.dropped_ring_full)),
        ("malformed", since(|books| books.dropped_malformed)),
    ]
}

/// Starts a peer, sends to it and reads its account.
///
/// # Errors
/// When it does not start, stop or say what it got, or a signal asks to stop.
pub(super) fn peer(
    bench: &mut Bench<'_>,
    peer: &Peer,
    attached: Option<&str>,
    time: Duration,
    load: Option<f64>,
) -> Result<Trial, String> {
    unless_interrupted()?;
    let receiver = PeerReceiver::start(peer, bench.wire, bench.cores)?;
    expect_attached(bench.wire, attached)?;
    let drops = link_drops(bench.wire);
    let (cpu, from) = (receiver.cpu()?, Instant::now());
    let sent = bench.sender.send(time, load, false)?;
    let used = (receiver.cpu()? - cpu) as f64 / from.elapsed().as_nanos() as f64;
    thread::sleep(SETTLE);
    let (delivered, lost) = receiver.end()?;
    let mut trial = Trial::of(sent, load, used);
    trial.delivered = delivered;
    if lost > 0 {
        trial.lost.insert("said by itself".to_owned(), lost);
    }
    trial.account(lost, link_drops(bench.wire) - drops);
    Ok(trial)
}

/// The words of an error that a signal is the cause of.
pub(super) const INTERRUPTED: &str = "interrupted";

fn unless_interrupted() -> Result<(), String> {
    if interrupt::asked() { Err(INTERRUPTED.to_owned()) } else { Ok(()) }
}

/// How an XDP program is attached to the receiver's end now: `native`, `generic`, `offload`.
///
/// # Errors
/// When the kernel does not tell.
pub(super) fn attached(wire: &Wire) -> Result<Option<String>, String> {
    let found = wire.at_receiver(|| pfs_ebpf::attached_program(&wire.to));
    Ok(found.map_err(|error| error.to_string())?.map(|program| program.mode.to_string()))
}

/// Checks that it is as a row says.
///
/// # Errors
/// When it is not.
pub(super) fn expect_attached(wire: &Wire, wanted: Option<&str>) -> Result<(), String> {
    let found = attached(wire)?;
    if found.as_deref() == wanted {
        return Ok(());
    }
    let word =
        |mode: Option<&str>| mode.map_or("no XDP program".to_owned(), |mode| format!("XDP {mode}"));
    Err(format!("attached is {}, wanted {}", word(found.as_deref()), word(wanted)))
}

/// Takes off what a receiver that has ended left attached: libxdp's programs outlive their process
/// where it was killed or had no right left to detach them, and would serve the next row. Whether
/// there was one.
///
/// # Errors
/// On interfaces that are not ours to change.
pub(super) fn take_off(wire: &Wire) -> Result<bool, String> {
    let Some(mode) = attached(wire)? else { return Ok(false) };
    if !wire.is_made() {
        let off = if mode == "generic" { "xdpgeneric" } else { "xdp" };
        let to = &wire.to;
        return Err(format!("it left an XDP program attached; ip link set dev {to} {off} off"));
    }
    for word in ["xdp", "xdpgeneric"] {
        let _ = wire.at_receiver(|| ip(&format!("link set dev {} {word} off", wire.to)));
    }
    Ok(true)
}

/// Frames that the wire has dropped so far, at either end, by `/proc/net/dev`.
fn link_drops(wire: &Wire) -> u64 {
    let of = |name: &str| {
        let text = fs::read_to_string("/proc/thread-self/net/dev").unwrap_or_default();
        let line = |line: &str| {
            let (found, counts) = line.split_once(':')?;
            let counts: Vec<u64> = counts.split_whitespace().flat_map(str::parse).collect();
            (found.trim() == name).then_some(counts.get(3)? + counts.get(11)?)
        };
        text.lines().find_map(line).unwrap_or(0)
    };
    of(&wire.from) + wire.at_receiver(|| of(&wire.to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_sent_is_in_one_place() {
        let mut trial = Trial { sent: 100, delivered: 90, seconds: 2.0, ..Trial::default() };
        trial.account(4, 10);
        assert_eq!((trial.lost.get("wire"), trial.unaccounted), (Some(&6), 0));
        assert_eq!((trial.rate(), trial.sent_rate(), trial.loss_ratio()), (45.0, 50.0, 0.1));
        trial.account(4, 3);
        assert_eq!(trial.unaccounted, 6, "the wire counts what the receiver has lost once more");
        trial.account(12, 0);
        assert_eq!(trial.unaccounted, -2);
    }

    #[test]
    fn our_trial_is_right_only_when_its_books_close() {
        let peer = Trial { unaccounted: 7, ..Trial::default() };
        assert!(peer.is_right(), "a peer that does not count its losses is not wrong");
        assert!(Trial { residual: Some(0), ..Trial::default() }.is_right());
        assert!(!Trial { residual: Some(1), ..Trial::default() }.is_right());
        assert!(!Trial { residual: Some(0), ..peer }.is_right());
    }

    #[test]
    fn losses_are_those_since_the_trial_began() {
        let before = Books { dropped_kernel: 5, dropped_nic: 1, ..Books::default() };
        let after = Books { dropped_kernel: 9, dropped_nic: 1, ..Books::default() };
        let lost = causes(&before, &after);
        assert_eq!(lost.iter().map(|(_, frames)| frames).sum::<u64>(), 4);
        assert_eq!(lost[1], ("kernel", 4));
    }
}
