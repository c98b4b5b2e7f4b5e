//! A vendor: a token endpoint that gives everybody a token, and an API whose every answer is the vendor's name. One
//! answer begins and does not end before the test lets it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

type Body = BoxBody<Bytes, Infallible>;

/// It ends when this goes.
pub(super) struct Vendor {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

struct Shared {
    name: &'static str,
    /// Lets the slow answer go on.
    released: Semaphore,
    /// Bodies of token requests.
    forms: Mutex<Vec<String>>,
}

impl Vendor {
    pub(super) async fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has a port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared { name, released: Semaphore::new(0), forms: Mutex::default() });
        let served = Arc::clone(&shared);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&served);
                let service = service_fn(move |request| answer(Arc::clone(&shared), request));
                tokio::spawn(async move {
                    let http = auto::Builder::new(TokioExecutor::new());
                    // A connection that is given up is no news.
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, shared, serving }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets one slow answer go on to its end.
    pub(super) fn release(&self) {
        self.shared.released.add_permits(1);
    }

    /// The forms that the token endpoint got since the last time.
    pub(super) fn forms(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.forms.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Vendor {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(shared: Arc<Shared>, request: http::Request<Incoming>) -> Result<http::Response<Body>, Infallible> {
    let body = match request.uri().path() {
        "/token" => {
            let form = request.into_body().collect().await.expect("a form").to_bytes();
            let form = String::from_utf8_lossy(&form).into_owned();
            shared.forms.lock().unwrap_or_else(PoisonError::into_inner).push(form);
            let token = r#"{"access_token":"AT","token_type":"bearer","expires_in":3600,"refresh_token":"RT"}"#;
            return Ok(http::Response::builder()
                .header("content-type", "application/json")
                .body(Full::new(Bytes::from(token)).boxed())
                .expect("an answer"));
        }
        "/slow" => {
            let begin = stream::once(async { Bytes::from("begun by ") });
            let end = stream::once(async move {
                shared.released.acquire().await.expect("it is not closed").forget();
                Bytes::from(shared.name)
            });
            BodyExt::boxed(StreamBody::new(begin.chain(end).map(|piece| Ok(Frame::data(piece)))))
        }
        _ => Full::new(Bytes::from(shared.name)).boxed(),
    };
    Ok(http::Response::new(body))
}
