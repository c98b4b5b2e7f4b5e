//! One HTTP/1.1 connection to a provider, driven by the task that uses it. No task of its own and no channel between
//! threads stand between a call and its socket: the same wake-up that brings the provider's bytes sends them to the
//! caller. While a lane lies idle in the pool nobody polls it; whoever takes it next learns whether it is still good
//! before anything is sent.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use hyper_util::rt::TokioIo;
use tokio::task::unconstrained;
use tokio::time::Sleep;

use super::request::RequestBody;
use super::{Timeouts, Waiting, Wire};
use crate::telemetry::gauge::Place;

type Connection = http1::Connection<TokioIo<Wire>, RequestBody>;

/// A connection and the right to send on it.
pub(super) struct Lane {
    /// `None` once it has ended.
    connection: Option<Connection>,
    sender: http1::SendRequest<RequestBody>,
    timer: Alarm,
    /// Counts while it is not in the pool.
    in_use: Option<Place>,
}

/// Why an exchange got no answer.
pub(super) enum LaneError {
    /// The connection was closed before anything was sent; the request is back in its slot.
    Unsent,
    /// It failed after something may have been sent.
    Broken(hyper::Error),
    /// Nobody moved for too long.
    Silent(Silence),
}

/// A request that is about to be sent, and lies here again when it could not be. One slot for all attempts: a request
/// is large, and each future that held one of its own would be moved around with it.
pub(super) type Slot = Option<Request<RequestBody>>;

/// Who let everybody wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    Caller,
    Provider(Waiting),
}

impl Lane {
    /// Makes a lane of a fresh connection.
    pub(super) async fn open(stream: Wire, in_use: Place) -> hyper::Result<Box<Self>> {
        let (sender, connection) = http1::Builder::new().handshake(TokioIo::new(stream)).await?;
        Ok(Box::new(Self { connection: Some(connection), sender, timer: Alarm::new(), in_use: Some(in_use) }))
    }

    /// Says whether it is in use, as it goes into the pool and comes out.
    pub(super) fn count(&mut self, in_use: Option<Place>) {
        self.in_use = in_use;
    }

    /// Sends the request that lies in the slot and waits for the head of its answer.
    pub(super) async fn exchange(
        &mut self,
        slot: &mut Slot,
        timeouts: &Timeouts,
    ) -> Result<Response<Incoming>, LaneError> {
        let Some(request) = slot.take() else { return Err(LaneError::Unsent) };
        let patience = Patience::new(&request, timeouts);
        // Outside of the task's budget: used up, it would say "later" and wake nobody.
        let mut answer = pin!(unconstrained(self.sender.try_send_request(request)));
        let (connection, timer) = (&mut self.connection, &mut self.timer);
        std::future::poll_fn(|cx| {
            poll_connection(connection, cx);
            // The answer can only have come through the connection just polled, so nobody needs to be woken for it.
            match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(outcome) => Poll::Ready(outcome.map_err(|error| unsent_or_broken(error, slot))),
                Poll::Pending => patience.poll(timer, cx).map(|silence| Err(LaneError::Silent(silence))),
            }
        })
        .await
    }

    /// Lets the connection read and write.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        poll_connection(&mut self.connection, cx);
    }

    /// Fires when nothing has come for that long since it was last told to start anew.
    pub(super) fn alarm(&mut self) -> &mut Alarm {
        &mut self.timer
    }

    /// True when another request can be sent. Leaves nobody's waker behind: a connection that closes in the pool wakes
    /// no task that has gone on to something else.
    pub(super) fn settle(&mut self) -> bool {
        // Outside of the task's budget, which would only say "later" to somebody who does not come back.
        let connection = &mut self.connection;
        let driving = pin!(unconstrained(std::future::poll_fn(|cx| {
            poll_connection(connection, cx);
            Poll::Ready(())
        })));
        let _ = driving.poll(&mut Context::from_waker(Waker::noop()));
        self.connection.is_some() && self.sender.is_ready()
    }

    /// Takes the connection out, to be driven by a task of its own.
    pub(super) fn into_driver(self) -> Option<impl Future<Output = ()> + Send + 'static> {
        let Self { connection, sender, in_use, .. } = self;
        let connection = connection?;
        Some(async move {
            // The sender has to live as long, or the connection takes it for nobody's.
            let _kept = (sender, in_use);
            let _ = connection.await;
        })
    }
}

/// Drops a connection that has ended, which gives a request back that was waiting to be sent on it.
fn poll_connection(connection: &mut Option<Connection>, cx: &mut Context<'_>) {
    if let Some(running) = connection
        && Pin::new(running).poll(cx).is_ready()
    {
        *connection = None;
    }
}

/// Puts a request back that was never sent.
pub(super) fn unsent_or_broken(mut error: TrySendError<Request<RequestBody>>, slot: &mut Slot) -> LaneError {
    *slot = error.take_message();
    if slot.is_some() { LaneError::Unsent } else { LaneError::Broken(error.into_error()) }
}

/// How long an exchange may stand still: the idle time while the caller's body goes out, the answer time from its end.
pub(super) struct Patience {
    sent: Instant,
    progress: Option<std::sync::Arc<super::request::Progress>>,
    idle: Duration,
    answer: Duration,
}

impl Patience {
    pub(super) fn new(request: &Request<RequestBody>, timeouts: &Timeouts) -> Self {
        Self {
            sent: Instant::now(),
            progress: request.body().progress(),
            idle: timeouts.idle,
            answer: timeouts.response,
        }
    }

    /// Ready when the waiting has to end.
    pub(super) fn poll(&self, alarm: &mut Alarm, cx: &mut Context<'_>) -> Poll<Silence> {
        alarm.poll_until(self.deadline(), cx).map(|()| match &self.progress {
            Some(progress) if progress.awaits_caller() => Silence::Caller,
            _ => Silence::Provider(Waiting::Answer),
        })
    }

    fn deadline(&self) -> Instant {
        match &self.progress {
            None => self.sent + self.answer,
            Some(progress) if progress.is_done() => progress.last() + self.answer,
            Some(progress) => progress.last() + self.idle,
        }
    }
}

/// A timer that is made when something has to be waited for, and kept: moving it later costs next to nothing.
pub(super) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    set_for: Option<Instant>,
}

impl Alarm {
    pub(super) fn new() -> Self {
        Self { sleep: None, set_for: None }
    }

    /// Ready once the deadline is over. The deadline may move from call to call.
    pub(super) fn poll_until(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.sleep {
            None => self.sleep = Some(Box::pin(tokio::time::sleep_until(deadline.into()))),
            Some(sleep) if self.set_for != Some(deadline) => sleep.as_mut().reset(deadline.into()),
            Some(_) => {}
        }
        self.set_for = Some(deadline);
        self.sleep.as_mut().map_or(Poll::Pending, |sleep| sleep.as_mut().poll(cx))
    }
}
