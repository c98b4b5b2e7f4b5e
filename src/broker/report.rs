//! Telling the store what observed calls used, in the background: at most one report of a budget in a tenth of a second,
//! however many calls there were, so that whoever reserves in any replica sees them.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::time::MissedTickBehavior;

use super::Broker;
use super::budget::Budget;
use crate::route::Spend;

const PERIOD: Duration = Duration::from_millis(100);

/// Most budgets that wait for their turn. Where there is no place, the next call of that budget asks for one again.
const PLACES: usize = 16_384;

/// Reports under way at a time.
const AT_ONCE: usize = 32;

/// Where calls leave word that their budget is to be reported.
pub(super) struct Reports(Option<SyncSender<Arc<Budget>>>);

impl Reports {
    /// With the other end of the queue where there is somebody to report to.
    pub(super) fn new(is_wanted: bool) -> (Self, Option<Receiver<Arc<Budget>>>) {
        if !is_wanted {
            return (Self(None), None);
        }
        // A queue of fixed places: putting something in neither allocates nor waits.
        let (sender, receiver) = sync_channel(PLACES);
        (Self(Some(sender)), Some(receiver))
    }

    /// Counts a call for the next report of its budget.
    pub(super) fn later(&self, budget: &Arc<Budget>) {
        if let Some(queue) = &self.0
            && budget.owe()
            && queue.try_send(Arc::clone(budget)).is_err()
        {
            budget.not_queued();
        }
    }
}

/// Reports for as long as the broker lives.
pub(super) async fn run(broker: Weak<Broker>, queue: Receiver<Arc<Budget>>) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let waiting: Vec<_> = queue.try_iter().take(PLACES).collect();
        let Some(broker) = broker.upgrade() else { return };
        stream::iter(waiting).for_each_concurrent(AT_ONCE, |budget| broker.report(budget)).await;
    }
}

impl Broker {
    /// One report. What cannot be told is forgotten: the budget refills meanwhile, and calls were never to wait for it.
    async fn report(&self, budget: Arc<Budget>) {
        let calls = budget.owed();
        let Some(rate) = budget.rate else { return };
        if calls > 0 && self.shared.may_ask(self.clock.now()) {
            self.spend_shared(&budget, rate, Spend::Note { calls }).await;
        }
    }
}
