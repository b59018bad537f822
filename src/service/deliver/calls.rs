//! The calls of a turn that are under way, and what came of those that ended.

use chrono::{DateTime, Utc};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::gate::Barred;
use super::{apns, apps, google};
use crate::domain::delivery::{Answer, Outcome};
use crate::store::outbox::Claim;

/// A claim, what is known of its destination, and what came of it.
pub struct Told {
    pub claim: Claim,
    pub answer: Answer,
    /// Nobody was asked, and nobody is before.
    pub not_before: Option<DateTime<Utc>>,
    pub about: About,
}

/// Who was told, as far as it is known.
pub enum About {
    Nobody,
    Device(apns::Target),
    Object(google::SentObject),
    Class(google::SentClass),
    App(apps::SentMessage),
}

pub struct Calls {
    running: JoinSet<()>,
    tell: UnboundedSender<Told>,
    told: UnboundedReceiver<Told>,
    /// Claims of which nothing was heard yet.
    in_flight: usize,
}

impl Calls {
    pub fn new() -> Self {
        let (tell, told) = unbounded_channel();
        Self { running: JoinSet::new(), tell, told, in_flight: 0 }
    }

    pub const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// There is nobody to call for this claim.
    pub fn skip(&mut self, claim: Claim, about: About, outcome: Outcome, text: impl Into<String>) {
        self.put(Told { claim, answer: Answer { outcome, text: text.into() }, not_before: None, about });
    }

    /// Nobody is called for this claim for a while.
    pub fn bar(&mut self, claim: Claim, about: About, Barred { why, until }: Barred) {
        let answer = Answer { outcome: Outcome::Hold, text: why };
        self.put(Told { claim, answer, not_before: Some(until), about });
    }

    fn put(&mut self, told: Told) {
        self.in_flight += 1;
        // The other end is here.
        drop(self.tell.send(told));
    }

    /// Starts a call for `claims` destinations; it yields what came of each.
    pub fn start(&mut self, claims: usize, call: impl Future<Output = Vec<Told>> + Send + 'static) {
        self.in_flight += claims;
        let tell = self.tell.clone();
        self.running.spawn(async move {
            for told in call.await {
                // Nobody listens any more when the process stops.
                drop(tell.send(told));
            }
        });
    }

    /// What came of up to `max` claims; waits for the first. May be dropped while it waits.
    pub async fn ended(&mut self, max: usize) -> Vec<Told> {
        let mut batch = Vec::new();
        self.told.recv_many(&mut batch, max).await;
        self.in_flight = self.in_flight.saturating_sub(batch.len());
        batch
    }

    /// Forgets calls that are over. One that panicked told nothing: its rows go out again when their lease is over.
    pub fn reap(&mut self) {
        while self.running.try_join_next().is_some() {}
        if self.running.is_empty() && self.told.is_empty() {
            self.in_flight = 0;
        }
    }
}
