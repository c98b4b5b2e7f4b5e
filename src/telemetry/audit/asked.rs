//! Who asked for what happens. It goes along with the work of a request, into tasks that outlive it too, so that what
//! writes an event deep inside need not be told.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use crate::model::CallerName;

tokio::task_local! {
    static ASKED: Asked;
}

/// A request: its identifier, whence it came, and its caller from when that is known. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Asked(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    request: String,
    client: IpAddr,
    caller: OnceLock<CallerName>,
}

impl Asked {
    /// By the request of this identifier, which came over a connection from `client`.
    pub fn by(request: String, client: IpAddr) -> Self {
        Self(Arc::new(Inner { request, client, caller: OnceLock::new() }))
    }

    /// Whoever asked for the work that is being done here; `None` for what nobody's request asked for.
    pub fn here() -> Option<Self> {
        ASKED.try_with(Self::clone).ok()
    }

    /// The work that is being done here is asked for by this caller.
    pub fn set_caller(caller: &CallerName) {
        let _ = ASKED.try_with(|asked| asked.0.caller.set(caller.clone()));
    }

    /// Does the work as asked for by this one.
    pub fn during<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        ASKED.scope(self, work)
    }

    /// Does the work as asked for by that one, where somebody asked.
    pub async fn carry<F: Future>(by: Option<Self>, work: F) -> F::Output {
        match by {
            Some(asked) => asked.during(work).await,
            None => work.await,
        }
    }

    pub(super) fn request(&self) -> &str {
        &self.0.request
    }

    pub(super) fn client(&self) -> IpAddr {
        self.0.client
    }

    pub(super) fn caller(&self) -> Option<&str> {
        self.0.caller.get().map(CallerName::as_str)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[tokio::test]
    async fn it_goes_along_with_the_work() {
        assert!(Asked::here().is_none());
        let work = async {
            let begun = Asked::here().expect("somebody asked");
            Asked::set_caller(&CallerName::parse("backend").expect("a name"));
            let detached = tokio::spawn(begun.during(async { Asked::here().expect("they still do") }));
            let asked = detached.await.expect("it ends");
            assert_eq!((asked.request(), asked.caller()), ("r-1", Some("backend")));
            assert_eq!(asked.client(), Ipv4Addr::LOCALHOST);
        };
        Asked::by("r-1".to_owned(), Ipv4Addr::LOCALHOST.into()).during(work).await;
    }
}
