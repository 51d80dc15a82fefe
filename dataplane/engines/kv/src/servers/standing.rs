//! Commands that end later: those that wait for other loops, and long ones, which run step by step
//! between the bursts of other clients.

use super::Session;
use super::connection::{Reason, Served, Stands};
use super::engine::{Arrival, Burst};
use super::lines::{LineAnswers, LineTask};
use super::redis::{RedisAnswers, RedisTask};
use super::service::StoreService;

/// A command that a connection stands at.
#[derive(Debug)]
pub(super) struct Standing {
    what: Begun,
    /// Replies of commands before it that wait with it.
    before: Vec<u8>,
    /// Loops, as bits, that wrote for it and have not been asked whether that is durable.
    owed: u64,
    /// Loops that are asked.
    settling: usize,
    /// Place in line that must be durable before the replies go.
    until: Option<u64>,
    /// Something that was written will never be durable.
    lost: bool,
}

/// What was begun and not ended.
#[derive(Debug)]
pub(super) enum Begun {
    /// Nothing but that it becomes durable.
    Nothing,
    /// Answers to operations, of which some come from other loops.
    Redis(Burst, RedisAnswers),
    /// The same, for lines.
    Lines(Burst, LineAnswers),
    /// A long command.
    RedisTask(Box<RedisTask>),
    /// The same, of the line grammar.
    LineTask(Box<LineTask>),
}

impl Begun {
    fn burst(&mut self) -> Option<&mut Burst> {
        match self {
            Self::Redis(burst, _) | Self::Lines(burst, _) => Some(burst),
            _ => None,
        }
    }

    /// Bytes of memory, about.
    fn memory(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Redis(burst, _) | Self::Lines(burst, _) => burst.memory(),
            Self::RedisTask(task) => task.memory(),
            Self::LineTask(task) => task.memory(),
        }
    }
}

impl Standing {
    pub(super) fn memory(&self) -> usize {
        self.before.capacity() + self.what.memory()
    }

    /// Whether nothing is waited for.
    fn goes_on(&self) -> bool {
        let away = match &self.what {
            Begun::Redis(burst, _) | Begun::Lines(burst, _) => burst.is_away(),
            _ => false,
        };
        !away && self.settling == 0
    }

    /// Takes an arrival; whether nothing more is waited for.
    pub(super) fn take(&mut self, arrival: Arrival) -> bool {
        match (arrival, self.what.burst()) {
            (Arrival::Parcel(parcel), Some(burst)) => {
                burst.take(parcel);
                self.lost |= burst.is_broken();
            }
            (Arrival::Settled(durable), _) => {
                self.settling = self.settling.saturating_sub(1);
                self.lost |= !durable;
            }
            // It was for a command that has ended.
            (Arrival::Parcel(_), None) => {}
        }
        self.goes_on()
    }
}

impl StoreService {
    /// Ends a call that executed commands: whether something of them is left to wait for or to do.
    pub(super) fn stand(
        &mut self,
        session: &mut Session,
        mut served: Served,
        out: &mut Vec<u8>,
    ) -> Served {
        served.until = served.until.max(self.until.take()).max(self.engine.take_until());
        let owed = self.engine.take_owed();
        let what = match self.begun.take() {
            None if owed == 0 => return served,
            begun => begun.unwrap_or(Begun::Nothing),
        };
        // Replies that wait for nothing go at once.
        let before = if owed == 0 { Vec::new() } else { std::mem::take(out) };
        let until = served.until;
        let mut standing =
            Box::new(Standing { what, before, owed, settling: 0, until, lost: false });
        if matches!(standing.what, Begun::Nothing) {
            standing.settling = self.engine.settle(session.token, owed);
            standing.owed = 0;
        }
        served.stands = if standing.goes_on() { Stands::Runs } else { Stands::Waits };
        session.standing = Some(standing);
        served
    }

    /// Goes on with the command that a connection stands at.
    pub(super) fn go_on(&mut self, session: &mut Session, out: &mut Vec<u8>) -> Served {
        let Some(mut standing) = session.standing.take() else { return Served::default() };
        self.token = session.token;
        let ended = standing.lost || self.advance(&mut standing.what, out);
        standing.until = standing.until.max(self.until.take()).max(self.engine.take_until());
        standing.owed |= self.engine.take_owed();
        if !ended {
            // Replies so far go, unless they wait for what other loops wrote.
            let mut served = Served { stands: Stands::Runs, ..Served::default() };
            if standing.owed == 0 && standing.before.is_empty() {
                served.until = standing.until;
            } else {
                standing.before.append(out);
            }
            session.standing = Some(standing);
            return served;
        }
        if let Begun::Redis(burst, _) | Begun::Lines(burst, _) = &mut standing.what {
            self.engine.recycle(burst);
            std::mem::swap(burst, &mut self.burst);
        }
        if standing.owed != 0 && !standing.lost {
            standing.before.append(out);
            standing.settling = self.engine.settle(session.token, standing.owed);
            (standing.owed, standing.what) = (0, Begun::Nothing);
            session.standing = Some(standing);
            return Served { stands: Stands::Waits, ..Served::default() };
        }
        if !standing.before.is_empty() {
            standing.before.append(out);
            std::mem::swap(&mut standing.before, out);
        }
        let close = standing.lost.then_some(Reason::Disk);
        if close.is_some() {
            out.clear();
        }
        Served { until: standing.until, close, ..Served::default() }
    }

    /// A step; whether it was the last.
    fn advance(&mut self, what: &mut Begun, out: &mut Vec<u8>) -> bool {
        match what {
            Begun::Nothing => true,
            Begun::Redis(burst, answers) => self.write_redis(burst, answers, out),
            Begun::Lines(burst, answers) => self.write_lines(burst, answers, out),
            Begun::RedisTask(task) => task.step(self, out),
            Begun::LineTask(task) => task.step(self, out),
        }
    }

    /// Begins a long command of RESP: its first step is done at once, and in a transaction all.
    pub(super) fn begin_redis(&mut self, mut task: RedisTask, out: &mut Vec<u8>) {
        while !task.step(self, out) {
            if !self.in_transaction {
                self.begun = Some(Begun::RedisTask(Box::new(task)));
                return;
            }
        }
    }

    /// Begins a long command of the line grammar.
    pub(super) fn begin_line(&mut self, mut task: LineTask, out: &mut Vec<u8>) {
        if !task.step(self, out) {
            self.begun = Some(Begun::LineTask(Box::new(task)));
        }
    }
}
