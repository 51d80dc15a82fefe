//! Every counter, defined once.
//!
//! A table below gives each counter's name, unit and meaning; the struct that threads count in,
//! the cells that they publish to, `/metrics` and the documentation page all come from it.
//! All counters are monotonic u64 totals since the run began; none resets when read.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pfs_pvrt::wire::{LaneCounters, Quantity};

/// What a counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Whole packets: a SOM..EOM chain is one.
    Packets,
    /// Bytes.
    Bytes,
    /// Processor cycles of the time-stamp counter.
    Cycles,
    /// Occurrences.
    Events,
    /// Token ids.
    Tokens,
    /// Payload spans: a packet of several buffers has several.
    Spans,
}

impl Unit {
    /// Name in the plural, as `/metrics` and the documentation use it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Packets => "packets",
            Self::Bytes => "bytes",
            Self::Cycles => "cycles",
            Self::Events => "events",
            Self::Tokens => "tokens",
            Self::Spans => "spans",
        }
    }
}

/// One counter's definition.
#[derive(Clone, Copy, Debug)]
pub struct CounterDef {
    /// Name in code, JSON and `/metrics`.
    pub name: &'static str,
    /// What it counts.
    pub unit: Unit,
    /// What it means, in one sentence.
    pub help: &'static str,
}

/// Makes a plain struct of totals and its table.
macro_rules! counts {
    ($(#[$doc:meta])* $counts:ident { $($name:ident: $unit:ident = $help:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct $counts { $(#[doc = $help] pub $name: u64,)+ }

        impl $counts {
            /// The definitions, in order of declaration.
            pub const TABLE: &'static [CounterDef] = &[
                $(CounterDef { name: stringify!($name), unit: Unit::$unit, help: $help },)+
            ];

            /// The totals in the order of [`Self::TABLE`].
            #[must_use]
            pub const fn values(&self) -> [u64; Self::TABLE.len()] {
                [$(self.$name,)+]
            }

            /// Adds `other`'s totals, as for a sum over threads.
            pub fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)+
            }

            /// What was counted since `earlier`; never below 0.
            #[must_use]
            pub fn since(&self, earlier: &Self) -> Self {
                Self { $($name: self.$name.saturating_sub(earlier.$name),)+ }
            }
        }
    };
}

/// The same with the atomic cells that publish the totals.
macro_rules! counter_table {
    ($(#[$doc:meta])* $counts:ident, $cells:ident { $($name:ident: $unit:ident = $help:literal,)+ }) => {
        counts! { $(#[$doc])* $counts { $($name: $unit = $help,)+ } }

        /// Cells through which the counting thread publishes its totals; on lines of their own.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub struct $cells { $($name: AtomicU64,)+ }

        impl $cells {
            /// Publishes `counts`. One thread only: plain stores, no read-modify-write.
            #[inline]
            pub fn publish(&self, counts: &$counts) {
                $(self.$name.store(counts.$name, Relaxed);)+
            }

            /// The totals last published. Each is exact; together they may straddle a publication.
            #[must_use]
            pub fn read(&self) -> $counts {
                $counts { $($name: self.$name.load(Relaxed),)+ }
            }
        }
    };
}

counter_table! {
    /// What a backend counts of its own side, before a frame is in a batch.
    ///
    /// `offered` is counted apart from the others (by the kernel, by the XDP program, or by the
    /// reader of a file), so that the books can fail to close.
    SourceCounters, SourceCells {
        offered: Packets = "Packets that reached the source, whatever became of them.",
        dropped_nic: Packets = "Lost in the NIC or in its driver's ring.",
        dropped_kernel: Packets = "Lost in the kernel: socket or ring full, fill ring empty.",
        filtered: Packets = "Passed by on purpose before user space: XDP pass and drop rules.",
        dropped_no_frame: Packets = "Lost because no frame was free to lend.",
        dropped_malformed: Packets = "Lost because the backend's own framing was broken.",
        polled: Packets = "Handed out in batches.",
        refused_tokens: Events = "Frame tokens that came back without being on loan.",
    }
}

counter_table! {
    /// What one queue's AF_XDP socket and its XDP program count, each cause by itself.
    ///
    /// `dropped_kernel` of [`SourceCounters`] is `rx_dropped + rx_ring_full`. An empty fill ring
    /// shows in `fill_ring_empty` beside that: in copy mode the same packet is in `rx_dropped`.
    AfXdpCounters, AfXdpCells {
        redirected: Packets = "Sent to this socket by the XDP program.",
        no_socket: Packets = "Selected by a redirect rule while no socket was there, passed to the kernel.",
        passed: Packets = "Passed to the kernel by a rule.",
        dropped_by_rule: Packets = "Dropped by a rule in the XDP program.",
        unmatched: Packets = "Passed to the kernel because no rule matches.",
        malformed: Packets = "Passed to the kernel because the headers do not parse.",
        rx_dropped: Packets = "Lost by the socket: no frame in the fill ring, or a packet too long for it.",
        rx_ring_full: Packets = "Lost because the RX ring was full: the receiver does not keep up.",
        fill_ring_empty: Events = "Times the kernel or driver found no frame in the fill ring.",
        rx_invalid_descs: Events = "Frames of the fill ring that the kernel refused.",
        wakeups: Events = "System calls that woke the driver because it had asked for it.",
        forced_wakeups: Events = "System calls that woke it unasked, after a while of silence.",
        naps: Events = "Short sleeps that let packets gather.",
        sleeps: Events = "Sleeps in poll(2) until a packet came.",
    }
}

counts! {
    /// What the driver of a DPDK port counts, for all its queues.
    DpdkCounters {
        ipackets: Packets = "Handed to this process by the driver.",
        imissed: Packets = "Lost because a receive queue was full, or as the driver's page says.",
        ierrors: Packets = "Refused because they came broken.",
        rx_nombuf: Events = "Times that no mbuf was free; the packets wait in the device, or are missed.",
    }
}

counter_table! {
    /// What a receiver thread counts between the batch and its lanes.
    ReceiverCounters, ReceiverCells {
        polls: Events = "Batches polled that held at least one packet.",
        empty_polls: Events = "Polls that found nothing.",
        packets: Packets = "Packets taken out of batches.",
        bytes: Bytes = "Frame bytes of those packets.",
        lent: Events = "Frame tokens that came with them, one for each span; less `returned`, those on loan.",
        filtered: Packets = "Packets that no rule selects.",
        dropped_malformed: Packets = "Packets whose headers do not parse.",
        dropped_ring_full: Packets = "Packets whose lane had no room.",
        delivered: Packets = "Packets handed to a worker.",
        delivered_bytes: Bytes = "Payload bytes handed to a worker.",
        truncated: Packets = "Packets delivered shorter than they were on the wire.",
        returned: Events = "Frame tokens that came back, from workers or from what was not delivered.",
        waits: Events = "Times that the thread slept for packets.",
        poll_cycles: Cycles = "Cycles in polls that found packets.",
        classify_cycles: Cycles = "Cycles in parse, match and flow hash.",
        steer_cycles: Cycles = "Cycles in steering to lanes, without a worker that runs inline.",
        recycle_cycles: Cycles = "Cycles in taking frames back.",
    }
}

counter_table! {
    /// What a worker counts.
    WorkerCounters, WorkerCells {
        batches: Events = "Bursts of descriptors taken from lanes.",
        consumed: Packets = "Packets whose program has run.",
        consumed_bytes: Bytes = "Payload bytes of those packets.",
        bad_spans: Packets = "Packets with a span outside its region or a rule that does not exist; not run.",
        empty_polls: Events = "Looks at the lanes that found nothing.",
        waits: Events = "Times that the thread slept for descriptors.",
        program_cycles: Cycles = "Cycles in programs.",
        lane_cycles: Cycles = "Cycles in taking descriptors and returning frames.",
    }
}

counter_table! {
    /// What has gone through the rings of one lane, by their own indices.
    LaneTotals, LaneCells {
        pushed: Spans = "Spans pushed into the forward ring.",
        taken: Spans = "Spans that the worker has taken out of it; `pushed` less these is the ring's occupancy.",
        returned: Spans = "Spans whose frame tokens the receiver has back; `pushed` less these are in flight.",
    }
}

counter_table! {
    /// What one step of a rule's program has cost a worker: one op, or several in one pass.
    StepCounters, StepCells {
        messages: Packets = "Packets that the step has run over.",
        bytes: Bytes = "Payload bytes of those packets.",
        cycles: Cycles = "Cycles that it took.",
        batches: Events = "Batches that it was called for.",
    }
}

counts! {
    /// What the op `token` counts, of each worker and rule.
    ///
    /// A text is a payload in packet mode and a stream in flow mode.
    TokenCounters {
        tokens: Tokens = "Token ids found.",
        bytes: Bytes = "Payload bytes that they stand for.",
        texts: Events = "Texts that ended: payloads, or streams in flow mode.",
        streams: Events = "Streams begun.",
        closed: Events = "Streams ended by FIN or RST.",
        evicted: Events = "Streams ended because the table was full and another needed the place.",
        timed_out: Events = "Streams ended because nothing came for the time-out.",
        gaps: Events = "TCP streams cut because bytes were missing; a segment out of order is one.",
        gap_bytes: Bytes = "Bytes missing there, as far as their number is known.",
        repeated_bytes: Bytes = "TCP payload dropped because the stream was beyond it: retransmitted, or late.",
        restarted: Events = "TCP streams cut by a new connection between the same ends.",
        cut: Events = "Streams without sequence numbers ended because a packet was shorter than on the wire.",
        long_pieces: Events = "Times that a piece of a stream was cut because over 4,096 bytes of it were not decided.",
        no_stream: Packets = "Packets left out in flow mode: fragments, or headers not before the payload.",
    }
}

counts! {
    /// What the op `kv` counts, of each worker and rule.
    KvCounters {
        frames: Packets = "Payloads whose operations were executed: frames, or texts to their last command.",
        writes: Events = "Puts, pair sets, inserts and edits handed to the store.",
        deletes: Events = "Deletes handed to the store.",
        gets: Events = "Gets handed to the store.",
        missing: Events = "Deletes, edits and gets of what was not there.",
        gets_refused: Events = "Gets left out because the rule has no way for replies: name one in `replies`.",
        answers: Events = "Operations answered, errors included.",
        no_way_back: Events = "Operations not answered because their sender cannot be: no UDP, a group's address, another kind of source.",
        replies_sent: Packets = "Reply datagrams handed to the kernel.",
        replies_dropped: Packets = "Reply datagrams dropped because the outgoing queue was full, or too many waited for the disk.",
        replies_failed: Packets = "Reply datagrams that the kernel refused, or whose interface is gone.",
        unsupported: Events = "Text commands left out because they are none of the op's.",
        torn: Packets = "Frames left out because bytes were missing, changed or too many, and texts that were cut on their way.",
        foreign: Packets = "Payloads left out because they are no frame of version 1.",
        malformed: Packets = "Payloads with what no sender may write: frames left out whole, texts from there on.",
        replies: Packets = "Payloads left out because they are replies.",
        skipped: Packets = "Frames missing when a later one came; less `late`, those lost or still under way.",
        late: Packets = "Frames that came behind a later one and filled a gap.",
        replayed: Packets = "Frames left out because they had come before.",
        stale: Packets = "Frames left out because they were 64 or more behind: they may have come before.",
        senders: Events = "Senders and lanes met for the first time.",
        joined: Events = "Of these, those met in the middle of their sequence.",
        forgotten: Events = "Senders and lanes forgotten because there were too many.",
        shard_waits: Events = "Times that a worker waited for a shard that another had.",
        full: Events = "Operations refused because memory was full.",
        read_only: Events = "Operations refused because the disk was full.",
        broken: Events = "Operations refused because the log could not be made durable before.",
        refused: Events = "Operations refused because key, value or burst was too long, or absolute keys were out.",
        unsynced: Events = "Shards that could not be made durable at the end.",
    }
}

counts! {
    /// What the op `cst` counts, of each worker and rule.
    CstCounters {
        files: Events = "Files parsed.",
        nodes: Events = "Nodes of their trees.",
        bytes: Bytes = "Bytes of whole files, parsed or not.",
        with_errors: Events = "Files parsed with what their grammar has no place for.",
        unknown: Events = "Files left out because neither name nor content tells a language of this build.",
        unparsed: Events = "Files left out because their tree could not be taken.",
        parse_timeouts: Events = "Files left out because parsing took longer than `parse_ms`.",
        too_long: Events = "Files left out because they are longer than `max_bytes`.",
        incomplete: Events = "Files left out because bytes were missing: lost, too late, or given up for others.",
        damaged: Events = "Files left out because their bytes are not those that the sender had.",
        foreign: Packets = "Payloads left out because they are no piece of a file of version 1.",
        repeated_bytes: Bytes = "Payload dropped because it had come before.",
        no_memory: Events = "Files left out because those half arrived took all of `memory`.",
        no_stream: Packets = "Packets left out in flow mode: fragments, or headers not before the payload.",
        kept: Events = "Trees kept in the op's folder.",
        not_kept: Events = "Trees not kept because the folder could not be written to.",
        not_flushed: Events = "Times that trees could not be made durable at the end.",
    }
}

counts! {
    /// What the op `vec` counts, of each worker and rule.
    VecCounters {
        frames: Packets = "Frames that were new: whole messages, and parts of some.",
        messages: Events = "Messages whose operations were handed to collections.",
        assembled: Events = "Of these, those put together from parts.",
        puts: Events = "Records to be written.",
        deletes: Events = "Deletes of records.",
        touches: Events = "Accesses to records to be counted.",
        associations: Events = "Associations to be made or ended.",
        searches: Events = "Searches asked for.",
        added: Events = "Records written that were not there before.",
        replaced: Events = "Records written over others.",
        deleted: Events = "Records deleted that were there.",
        unknown: Events = "Operations left out because no collection has the name.",
        wrong_dimension: Events = "Puts refused because the vector has not the collection's dimension.",
        bad_vectors: Events = "Puts refused because a component is not finite, or the vector has no direction or no length to compare by.",
        refused: Events = "Changes refused because text or metadata were too long.",
        missing: Events = "Associations refused because one of their records was not there.",
        failed: Events = "Changes refused because the collection's log takes no more: its disk is full or broken.",
        searches_refused: Events = "Searches left out because the rule has no way for replies: name one in `replies`.",
        searches_failed: Events = "Searches that the collection refused: a wrong vector, an exact one without raw vectors.",
        damaged: Events = "Searches whose hits may lack some, because a segment is damaged: `pfs vec verify` tells which.",
        timed_out: Events = "Messages given up because no part came for too long.",
        evicted: Events = "Messages half arrived given up to make room for others.",
        conflicts: Packets = "Parts left out because they do not go with those before.",
        answers: Events = "Operations answered, errors included.",
        too_large: Events = "Searches whose hits did not fit a datagram.",
        no_way_back: Events = "Operations not answered because their sender cannot be: no UDP, a group's address, another kind of source.",
        replies_sent: Packets = "Reply datagrams handed to the kernel.",
        replies_dropped: Packets = "Reply datagrams dropped because the outgoing queue was full, or too many waited for the disk.",
        replies_failed: Packets = "Reply datagrams that the kernel refused, or whose interface is gone.",
        torn: Packets = "Frames left out because bytes were missing or changed.",
        foreign: Packets = "Payloads left out because they are no frame of version 1.",
        malformed: Packets = "Frames and messages left out whole because they have what no sender may write.",
        replies: Packets = "Payloads left out because they are replies.",
        skipped: Packets = "Frames missing when a later one came; less `late`, those lost or still under way.",
        late: Packets = "Frames that came behind a later one and filled a gap.",
        replayed: Packets = "Frames left out because they had come before.",
        stale: Packets = "Frames left out because they were 64 or more behind: they may have come before.",
        senders: Events = "Senders and streams met for the first time.",
        joined: Events = "Of these, those met in the middle of their sequence.",
        forgotten: Events = "Senders and streams forgotten because there were too many.",
        unsynced: Events = "Collections that could not be made durable at the end.",
    }
}

/// What the op `pvrt` counts, of each worker and rule: what its lane does, then these.
pub const PVRT_TABLE: &[CounterDef] = &pvrt_table();

const PVRT_MORE: [CounterDef; 3] = [
    CounterDef {
        name: "torn",
        unit: Unit::Packets,
        help: "Packets of several spans left out because one was missing or they were too long.",
    },
    CounterDef {
        name: "files",
        unit: Unit::Events,
        help: "Files of the op's folder that were whole when this worker ended.",
    },
    CounterDef {
        name: "wrong_files",
        unit: Unit::Events,
        help: "Files of the op's folder with a wrong hash when this worker ended.",
    },
];

const fn pvrt_table() -> [CounterDef; LaneCounters::TABLE.len() + PVRT_MORE.len()] {
    let mut table = [PVRT_MORE[0]; LaneCounters::TABLE.len() + PVRT_MORE.len()];
    let mut at = 0;
    while at < table.len() {
        table[at] = if at < LaneCounters::TABLE.len() {
            let (name, unit, help) = LaneCounters::TABLE[at];
            let unit = match unit {
                Quantity::Packets => Unit::Packets,
                Quantity::Bytes => Unit::Bytes,
                Quantity::Events => Unit::Events,
            };
            CounterDef { name, unit, help }
        } else {
            PVRT_MORE[at - LaneCounters::TABLE.len()]
        };
        at += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_totals_read_back() {
        let mut counts = WorkerCounters { consumed: 7, ..WorkerCounters::default() };
        let cells = WorkerCells::default();
        cells.publish(&counts);
        assert_eq!(cells.read(), counts);
        let before = counts;
        counts.consumed += 5;
        assert_eq!(counts.since(&before).consumed, 5);
        assert_eq!(before.since(&counts).consumed, 0, "never below zero");
        counts.add(&before);
        assert_eq!(counts.values()[1], 19);
        assert_eq!(WorkerCounters::TABLE[1].name, "consumed");
    }
}
