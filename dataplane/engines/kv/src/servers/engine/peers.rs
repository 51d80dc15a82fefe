//! What loops do for each other.

use std::any::Any;
use std::sync::atomic::Ordering;

use super::burst::{Burst, Parcel};
use super::{Arrival, Engine, Letter, Local};
use crate::op::Op;

impl Engine {
    /// Executes `ops`, each at its shard and in order there. Gives false when other loops have parcels of them:
    /// these come back as arrivals for `token`, and `burst` is whole when [`Burst::take`] says so.
    #[inline]
    pub(in crate::servers) fn begin(
        &mut self,
        ops: &[Op<'_>],
        burst: &mut Burst,
        token: u64,
    ) -> bool {
        if self.mail.is_none() {
            burst.until = self.local.execute(ops, burst);
            return true;
        }
        if !self.leaves(ops) {
            self.recycle(burst);
            burst.until = self.local.execute(ops, burst);
            return true;
        }
        self.send(ops, burst, Some(token));
        burst.away == 0
    }

    /// Whether any of `ops` is another loop's.
    fn leaves(&mut self, ops: &[Op<'_>]) -> bool {
        let (me, loops) = (self.local.me, self.local.loops);
        ops.iter().any(|op| !matches!(op, Op::Insert { .. }) && self.local.owner(op) % loops != me)
    }

    /// As [`Engine::execute`], when there are several loops.
    pub(super) fn execute_waiting(&mut self, ops: &[Op<'_>], burst: &mut Burst) -> Option<u64> {
        if !self.leaves(ops) {
            self.recycle(burst);
            return self.local.execute(ops, burst);
        }
        let tickets = self.send(ops, burst, None);
        for ticket in tickets {
            let Some(parcel) = self.result::<Box<Parcel>>(ticket) else { break };
            let writes = parcel.writes();
            let owner = parcel.shard % self.loops();
            self.wrote_at |= u64::from(writes) << owner;
            burst.take(parcel);
        }
        burst.until
    }

    /// Packs `ops` into a parcel for each shard, executes those of this loop and sends the others. Without a
    /// token this loop waits for them: their tickets.
    fn send(&mut self, ops: &[Op<'_>], burst: &mut Burst, token: Option<u64>) -> Vec<u64> {
        self.recycle(burst);
        burst.places.clear();
        (burst.until, burst.broken, burst.away) = (None, false, 0);
        burst.parcels.resize_with(self.local.total, || None);
        for op in ops {
            let owner = self.local.owner(op);
            let parcel = burst.parcels[owner].get_or_insert_with(|| {
                let mut parcel = self.pool.pop().unwrap_or_default();
                parcel.begin(owner);
                parcel
            });
            burst.places.push((owner as u32, parcel.len() as u32));
            parcel.push(op);
        }
        let mut tickets = Vec::new();
        for place in &mut burst.parcels {
            let Some(mut parcel) = place.take() else { continue };
            let to = parcel.shard % self.local.loops;
            if to == self.local.me {
                burst.until = burst.until.max(self.local.run(&mut parcel));
                *place = Some(parcel);
                continue;
            }
            burst.away += 1;
            parcel.waits = token.is_none();
            parcel.token = token.unwrap_or_else(|| {
                self.last_ticket += 1;
                tickets.push(self.last_ticket);
                self.last_ticket
            });
            let from = self.local.me;
            if let Some(mail) = &mut self.mail {
                mail.send(to, Letter::Parcel { from, parcel });
            }
        }
        tickets
    }

    /// Takes the parcels out of a burst whose answers are no longer needed.
    pub(in crate::servers) fn recycle(&mut self, burst: &mut Burst) {
        /// Parcels that are kept for later.
        const KEPT: usize = 256;
        for parcel in burst.parcels.drain(..).flatten() {
            if self.pool.len() < KEPT {
                self.pool.push(parcel);
            }
        }
    }

    /// Sees to it that the answer to operation `index` is in `burst`: what its parcel had no room for is
    /// executed now.
    #[inline]
    pub(in crate::servers) fn ensure(&mut self, burst: &mut Burst, index: usize) {
        if let Some(shard) = burst.lacks(index) {
            self.fetch_more(burst, shard);
        }
    }

    fn fetch_more(&mut self, burst: &mut Burst, shard: usize) {
        let Some(mut parcel) = burst.parcels.get_mut(shard).and_then(Option::take) else { return };
        let to = shard % self.local.loops;
        if to == self.local.me {
            self.local.run(&mut parcel);
        } else {
            self.last_ticket += 1;
            (parcel.token, parcel.waits) = (self.last_ticket, true);
            let (from, ticket) = (self.local.me, self.last_ticket);
            if let Some(mail) = &mut self.mail {
                mail.send(to, Letter::Parcel { from, parcel });
            }
            // When the server stops there is no answer, and the client is told nothing more.
            let Some(back) = self.result::<Box<Parcel>>(ticket) else { return };
            parcel = back;
        }
        burst.parcels[shard] = Some(parcel);
    }

    /// Has `job` done by the loop that owns shard `number`, and waits for what comes of it; `writes` tells
    /// whether it may write. `None` when the server stops.
    pub(in crate::servers) fn ask<R: Send + 'static>(
        &mut self,
        number: usize,
        writes: bool,
        job: impl FnOnce(&mut Local) -> R + Send + 'static,
    ) -> Option<R> {
        let to = number % self.loops();
        if to == self.local.me {
            self.local.take_wrote();
            let result = job(&mut self.local);
            self.until = self.until.max(self.local.take_wrote());
            return Some(result);
        }
        self.wrote_at |= u64::from(writes) << to;
        let ticket = self.put(to, job);
        self.result(ticket)
    }

    /// Has `job` done by every loop; what comes of it, of those that still run.
    pub(in crate::servers) fn everywhere<R: Send + 'static>(
        &mut self,
        job: impl Fn(&mut Local) -> R + Clone + Send + 'static,
    ) -> Vec<R> {
        let me = self.local.me;
        let others = (0..self.loops()).filter(|&to| to != me);
        let tickets: Vec<_> = others.map(|to| self.put(to, job.clone())).collect();
        let own = job(&mut self.local);
        let results = tickets.into_iter().filter_map(|ticket| self.result(ticket));
        std::iter::once(own).chain(results).collect()
    }

    fn put<R: Send + 'static>(
        &mut self,
        to: usize,
        job: impl FnOnce(&mut Local) -> R + Send + 'static,
    ) -> u64 {
        self.last_ticket += 1;
        let (from, ticket) = (self.local.me, self.last_ticket);
        let job = Box::new(|local: &mut Local| Box::new(job(local)) as Box<dyn Any + Send>);
        if let Some(mail) = &mut self.mail {
            mail.send(to, Letter::Run { from, ticket, job });
        }
        ticket
    }

    /// Waits for the answer to `ticket`; other loops are served meanwhile.
    fn result<R: 'static>(&mut self, ticket: u64) -> Option<R> {
        self.wait_for(|engine| engine.results.contains_key(&ticket));
        let result = self.results.remove(&ticket)?;
        result.downcast().ok().map(|result| *result)
    }

    /// Serves other loops until `holds`; false when the server stops.
    fn wait_for(&mut self, holds: impl Fn(&Self) -> bool) -> bool {
        while !holds(self) {
            if self.common.stop.load(Ordering::Acquire) {
                return false;
            }
            if !self.receive() {
                self.commit();
                self.deliver();
                if let Some(mail) = &self.mail {
                    mail.wait();
                }
            }
        }
        true
    }

    /// Sends what lies ready.
    pub(in crate::servers) fn deliver(&mut self) {
        if let Some(mail) = &mut self.mail {
            mail.deliver();
        }
    }

    /// Sends what lies ready; whether the loop may sleep then.
    pub(in crate::servers) fn may_sleep(&mut self) -> bool {
        self.deliver();
        self.mail.as_ref().is_none_or(super::mail::Mail::may_sleep)
    }

    /// What has come for a connection that waits.
    pub(in crate::servers) fn arrival(&mut self) -> Option<(u64, Arrival)> {
        self.arrived.pop_front()
    }

    /// Does what other loops ask for; whether there was anything.
    pub(in crate::servers) fn receive(&mut self) -> bool {
        let Some(mail) = &mut self.mail else { return false };
        mail.deliver();
        let letters = mail.collect();
        let any = !letters.is_empty();
        for letter in letters {
            self.open(letter);
        }
        any
    }

    fn open(&mut self, letter: Letter) {
        match letter {
            Letter::Parcel { from, mut parcel } => {
                let until = self.local.run(&mut parcel);
                let until = until.filter(|_| !parcel.waits);
                self.answer(from, Letter::Back(parcel), until);
            }
            Letter::Back(parcel) if parcel.waits => {
                self.results.insert(parcel.token, Box::new(parcel));
            }
            Letter::Back(parcel) => {
                self.arrived.push_back((parcel.token, Arrival::Parcel(parcel)));
            }
            Letter::Run { from, ticket, job } => {
                let result = job(&mut self.local);
                self.answer(from, Letter::Ran { ticket, result }, None);
            }
            Letter::Ran { ticket, result } => {
                self.results.insert(ticket, result);
            }
            Letter::Settle { from, token } => {
                let until = self.local.place();
                self.answer(from, Letter::Settled { token, durable: true }, until);
            }
            Letter::Settled { token, durable } => {
                self.arrived.push_back((token, Arrival::Settled(durable)));
            }
            Letter::Hold { from } => self.be_held(from),
            Letter::Held => self.held_words += 1,
            // Whoever is held takes it there.
            Letter::Release => {}
        }
    }

    /// Answers loop `to`: now, or when place `until` in line is durable.
    fn answer(&mut self, to: usize, letter: Letter, until: Option<u64>) {
        match (until, &mut self.mail) {
            (Some(until), _) => self.held.push_back((until, to, letter)),
            (None, Some(mail)) => mail.send(to, letter),
            (None, None) => {}
        }
    }

    /// Sends the answers that waited until `durable`; all of them, when what they wait for never comes.
    pub(super) fn release(&mut self, durable: u64) {
        let broken = self.local.is_broken();
        while let Some(&(until, ..)) = self.held.front()
            && (until <= durable || broken)
        {
            let Some((until, to, mut letter)) = self.held.pop_front() else { return };
            let lost = until > durable;
            match &mut letter {
                Letter::Back(parcel) => parcel.broken = lost,
                Letter::Settled { durable, .. } => *durable = !lost,
                _ => {}
            }
            if let Some(mail) = &mut self.mail {
                mail.send(to, letter);
            }
        }
    }

    /// Asks the loops whose bits are set in `owed` to say when what they have written is durable: how many
    /// will say so to the connection with `token`.
    pub(in crate::servers) fn settle(&mut self, token: u64, owed: u64) -> usize {
        let from = self.local.me;
        for to in (0..self.loops()).filter(|to| owed >> to & 1 == 1) {
            if let Some(mail) = &mut self.mail {
                mail.send(to, Letter::Settle { from, token });
            }
        }
        owed.count_ones() as usize
    }

    /// The loops, as bits, that wrote for this one since this was last asked.
    pub(in crate::servers) fn take_owed(&mut self) -> u64 {
        std::mem::take(&mut self.wrote_at)
    }

    /// Place in line that must be durable for what was asked of this loop itself.
    pub(in crate::servers) fn take_until(&mut self) -> Option<u64> {
        self.until.take()
    }

    /// Lets all other loops stand still, so that nothing runs between the commands that follow; false when
    /// the server stops.
    pub(in crate::servers) fn hold(&mut self) -> bool {
        if self.mail.is_none() {
            return true;
        }
        if !self.wait_for(|engine| engine.mail.as_ref().is_none_or(super::mail::Mail::try_hold)) {
            return false;
        }
        self.held_words = 0;
        let me = self.local.me;
        self.tell_others(|| Letter::Hold { from: me });
        let others = self.loops() - 1;
        self.wait_for(|engine| engine.held_words == others)
    }

    /// Ends [`Engine::hold`].
    pub(in crate::servers) fn unhold(&mut self) {
        self.tell_others(|| Letter::Release);
        self.deliver();
        if let Some(mail) = &self.mail {
            mail.end_hold();
        }
    }

    fn tell_others(&mut self, letter: impl Fn() -> Letter) {
        let me = self.local.me;
        for to in (0..self.loops()).filter(|&to| to != me) {
            if let Some(mail) = &mut self.mail {
                mail.send(to, letter());
            }
        }
    }

    /// Serves loop `holder` alone until it says otherwise; what others want is done afterwards.
    fn be_held(&mut self, holder: usize) {
        let mut later = Vec::new();
        if let Some(mail) = &mut self.mail {
            mail.send(holder, Letter::Held);
        }
        'held: while !self.common.stop.load(Ordering::Acquire) {
            let Some(mail) = &mut self.mail else { break };
            mail.deliver();
            let letters = mail.collect();
            if letters.is_empty() {
                mail.wait();
            }
            let mut letters = letters.into_iter();
            while let Some(letter) = letters.next() {
                match letter {
                    Letter::Release => {
                        later.extend(letters);
                        break 'held;
                    }
                    Letter::Parcel { from, .. } | Letter::Run { from, .. } if from != holder => {
                        later.push(letter);
                    }
                    letter => self.open(letter),
                }
            }
            self.commit();
        }
        for letter in later {
            self.open(letter);
        }
    }
}
