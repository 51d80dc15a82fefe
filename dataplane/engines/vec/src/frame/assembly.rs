//! Messages put together from their parts.

use std::collections::{BTreeMap, HashMap};

use super::Frame;

/// What an [`Assembly`] may hold.
#[derive(Clone, Copy, Debug)]
pub struct AssemblyLimits {
    /// Most messages half arrived.
    pub partials: usize,
    /// Most bytes of messages half arrived, each counted whole from its first part on.
    pub bytes: usize,
    /// Nanoseconds without a part after which a message is given up.
    pub idle_ns: u64,
}

/// What became of messages in parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AssemblyCounters {
    /// Messages put together.
    pub joined: u64,
    /// Messages given up because no part came for too long.
    pub timed_out: u64,
    /// Messages given up to make room for others.
    pub evicted: u64,
    /// Parts left out because they say another length or step than those before, or that had come.
    pub conflicts: u64,
}

/// Which message: that of a sender's stream in a flow that begins with a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    flow: u32,
    stream: u16,
    sender: u64,
    first: u64,
}

#[derive(Debug)]
struct Partial {
    bytes: Vec<u8>,
    /// Bit n: part n has come.
    came: Vec<u64>,
    missing: u32,
    step: u16,
    /// Place among all partials by age.
    age: u64,
    last_ns: u64,
}

/// Messages half arrived, in bounded memory. The oldest are given up for new ones.
#[derive(Debug)]
pub struct Assembly {
    limits: AssemblyLimits,
    open: HashMap<Key, Partial>,
    by_age: BTreeMap<u64, Key>,
    ages: u64,
    bytes: usize,
    counters: AssemblyCounters,
    /// The last message that was whole.
    whole: Vec<u8>,
}

impl Assembly {
    /// Holds nothing yet.
    #[must_use]
    pub fn new(limits: AssemblyLimits) -> Self {
        Self {
            limits,
            open: HashMap::new(),
            by_age: BTreeMap::new(),
            ages: 0,
            bytes: 0,
            counters: AssemblyCounters::default(),
            whole: Vec::new(),
        }
    }

    /// What has been counted.
    #[must_use]
    pub const fn counters(&self) -> AssemblyCounters {
        self.counters
    }

    /// Messages half arrived.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Takes a frame of `flow`; its whole message once all parts have come.
    pub fn take(&mut self, flow: u32, frame: &Frame<'_>, time_ns: u64) -> Option<&[u8]> {
        let (stream, sender, first) = (frame.stream(), frame.sender(), frame.first());
        let key = Key { flow, stream, sender, first };
        if !self.open.contains_key(&key) {
            self.begin(key, frame);
        }
        let partial = self.open.get_mut(&key)?;
        let (word, bit) = (usize::from(frame.part() / 64), 1 << (frame.part() % 64));
        let alike = partial.step == frame.step && partial.bytes.len() == frame.length();
        // A part of the same length and step is within both.
        if !alike || partial.came[word] & bit != 0 {
            self.counters.conflicts += 1;
            return None;
        }
        partial.came[word] |= bit;
        partial.missing -= 1;
        partial.last_ns = time_ns;
        partial.bytes[frame.offset()..][..frame.bytes().len()].copy_from_slice(frame.bytes());
        if partial.missing > 0 {
            return None;
        }
        self.counters.joined += 1;
        self.whole = self.remove(&key)?;
        Some(&self.whole)
    }

    fn begin(&mut self, key: Key, frame: &Frame<'_>) {
        let (most, room) = (self.limits.partials.max(1), self.limits.bytes);
        while self.open.len() >= most || self.bytes + frame.length() > room {
            let Some(oldest) = self.by_age.first_key_value().map(|(_, key)| *key) else { break };
            self.remove(&oldest);
            self.counters.evicted += 1;
        }
        self.ages += 1;
        self.bytes += frame.length();
        self.by_age.insert(self.ages, key);
        let partial = Partial {
            bytes: vec![0; frame.length()],
            came: vec![0; frame.parts().div_ceil(64) as usize],
            missing: frame.parts(),
            step: frame.step,
            age: self.ages,
            last_ns: 0,
        };
        self.open.insert(key, partial);
    }

    fn remove(&mut self, key: &Key) -> Option<Vec<u8>> {
        let partial = self.open.remove(key)?;
        self.by_age.remove(&partial.age);
        self.bytes -= partial.bytes.len();
        Some(partial.bytes)
    }

    /// Gives up what has waited too long.
    pub fn expire(&mut self, time_ns: u64) {
        let idle = self.limits.idle_ns;
        let late = |(key, partial): (&Key, &Partial)| {
            (time_ns.saturating_sub(partial.last_ns) >= idle).then_some(*key)
        };
        let late: Vec<Key> = self.open.iter().filter_map(late).collect();
        for key in late {
            self.remove(&key);
            self.counters.timed_out += 1;
        }
    }

    /// Gives up everything: no part comes any more.
    pub fn give_up(&mut self) {
        self.counters.timed_out += self.open.len() as u64;
        self.open.clear();
        self.by_age.clear();
        self.bytes = 0;
    }
}
