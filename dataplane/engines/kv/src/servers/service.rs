//! Both protocols on one store.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::connection::{Protocol, Served, Service};
use super::cursors::Cursors;
use super::engine::{Arrival, Burst, Engine};
use super::event_loop::{Common, milliseconds};
use super::lines::{Jobs, LineSession, SharedJobs};
use super::redis::{Plan, RedisSession};
use super::standing::{Begun, Standing};
use super::system::System;
use super::{Limits, Secret};
use crate::Database;
use crate::grammar::Rows;
use crate::resp::{RequestLimits, Requests};

/// Databases that `SELECT` knows by number.
pub(super) const DATABASES: u32 = 16;

/// What executes the commands of one loop.
#[derive(Debug)]
pub(super) struct StoreService {
    pub(super) engine: Engine,
    pub(super) common: Arc<Common>,
    pub(super) secret: Option<Secret>,
    pub(super) request_limits: RequestLimits,
    /// Milliseconds since 1970, as of this turn of the loop.
    pub(super) now: u64,
    /// When the server began, in milliseconds since 1970.
    pub(super) started: u64,
    /// What the burst at hand must wait for before its replies go.
    pub(super) until: Option<u64>,
    /// Bursts for which reads and writes are still executed apart.
    pub(super) apart: u32,
    pub(super) requests: Requests,
    pub(super) plan: Plan<'static>,
    pub(super) burst: Burst,
    /// Rows of the reply at hand.
    pub(super) rows: Rows,
    /// Keys that lines write in hexadecimal digits.
    pub(super) decoded: Vec<u8>,
    pub(super) jobs: Jobs,
    pub(super) system: System,
    /// The store has work for idle moments.
    behind: bool,
    cursors: Arc<Mutex<Cursors>>,
    next_id: u64,
    /// The connection whose commands are executed.
    pub(super) token: u64,
    /// What the commands at hand began and did not end.
    pub(super) begun: Option<Begun>,
    /// What is executed ends before anything else is: a transaction's commands.
    pub(super) in_transaction: bool,
}

/// A connection of either protocol.
#[derive(Debug)]
pub(super) struct Session {
    speaks: Speaks,
    pub(super) token: u64,
    /// The command that it stands at.
    pub(super) standing: Option<Box<Standing>>,
}

#[derive(Debug)]
enum Speaks {
    Redis(RedisSession),
    Lines(LineSession),
}

/// What the services of all loops share.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    cursors: Arc<Mutex<Cursors>>,
    jobs: SharedJobs,
}

impl StoreService {
    pub(super) fn new(
        engine: Engine,
        common: Arc<Common>,
        secret: Option<Secret>,
        known: &Known,
    ) -> Self {
        let Limits { value_bytes, request_bytes, .. } = common.limits;
        let defaults = RequestLimits::default();
        let request_limits = RequestLimits { arg_bytes: value_bytes, request_bytes, ..defaults };
        let now = milliseconds();
        let next_id = engine.me() as u64 + 1;
        Self {
            engine,
            common,
            secret,
            request_limits,
            now,
            started: now,
            until: None,
            apart: 0,
            requests: Requests::new(),
            plan: Plan::default(),
            burst: Burst::default(),
            rows: Rows::default(),
            decoded: Vec::new(),
            jobs: Jobs::new(&known.jobs),
            system: System::new(),
            behind: false,
            cursors: Arc::clone(&known.cursors),
            next_id,
            token: 0,
            begun: None,
            in_transaction: false,
        }
    }

    /// Does `work` with the shards in hand: nobody else has them until it ends.
    fn holding<R>(&mut self, work: impl FnOnce(&mut Self) -> R) -> R {
        self.engine.take();
        let done = work(self);
        self.engine.give_back();
        done
    }

    /// The cursors of all loops.
    pub(super) fn cursors(&self) -> MutexGuard<'_, Cursors> {
        self.cursors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service for StoreService {
    type Session = Session;

    type Arrival = Arrival;

    fn open(&mut self, protocol: Protocol, token: u64) -> Session {
        let id = self.next_id;
        self.next_id += self.common.loops as u64;
        let authenticated = self.secret.is_none();
        let speaks = match protocol {
            Protocol::Resp => Speaks::Redis(RedisSession::new(id, authenticated)),
            Protocol::Cheetah => {
                Speaks::Lines(LineSession::new(Database::default(), authenticated))
            }
        };
        Session { speaks, token, standing: None }
    }

    fn serve(&mut self, session: &mut Session, input: &[u8], out: &mut Vec<u8>) -> Served {
        self.token = session.token;
        self.holding(|this| {
            let served = match &mut session.speaks {
                Speaks::Redis(session) => this.serve_redis(session, input, out),
                Speaks::Lines(session) => this.serve_lines(session, input, out),
            };
            this.stand(session, served, out)
        })
    }

    fn resume(&mut self, session: &mut Session, out: &mut Vec<u8>) -> Served {
        self.holding(|this| this.go_on(session, out))
    }

    fn receive(&mut self) {
        if self.engine.loops() > 1 {
            self.holding(|this| this.engine.receive());
        }
    }

    fn arrival(&mut self) -> Option<(u64, Arrival)> {
        self.engine.arrival()
    }

    fn take(&mut self, session: &mut Session, arrival: Arrival) -> bool {
        session.standing.as_mut().is_some_and(|standing| standing.take(arrival))
    }

    fn held(&self, session: &Session) -> usize {
        session.standing.as_ref().map_or(0, |standing| standing.memory())
    }

    fn may_sleep(&mut self) -> bool {
        self.engine.may_sleep()
    }

    fn refusal(&self, protocol: Protocol) -> String {
        match protocol {
            Protocol::Resp => "-ERR max number of clients reached\r\n".into(),
            Protocol::Cheetah => "ERROR,too_many_connections\n".into(),
        }
    }

    fn begin(&mut self, now: u64) {
        self.now = now;
        self.engine.set_clock(now);
    }

    fn commit(&mut self) -> u64 {
        if self.engine.is_waiting() {
            return self.holding(|this| this.engine.commit());
        }
        self.engine.commit()
    }

    fn is_waiting(&self) -> bool {
        self.engine.is_waiting()
    }

    fn is_broken(&mut self) -> bool {
        self.engine.is_waiting() && self.holding(|this| this.engine.is_broken())
    }

    fn tick(&mut self) {
        self.behind = self.holding(|this| this.engine.work());
    }

    fn work(&mut self) -> bool {
        if self.behind {
            self.tick();
        }
        if self.jobs.is_idle() {
            return self.behind;
        }
        self.holding(|this| this.jobs.work(&mut this.engine)) || self.behind
    }
}
