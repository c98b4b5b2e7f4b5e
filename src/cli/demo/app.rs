//! The demo's sample application: what a back end has to do to let its users connect an account and to call the
//! provider. It has no token, no secret and no OAuth in it: three requests to the sidecar are all.

use std::net::SocketAddr;
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::authority::Fields;
use super::serve::{self, Answer, Asked, Site, escape, fill};

/// The application.
pub(super) struct SampleApp {
    /// Its own address, where the browser comes back to.
    own: String,
    /// The sidecar's.
    keyferry: String,
    http: reqwest::Client,
}

/// What the sidecar, or the provider behind it, answered.
type Asking = Result<(StatusCode, Value), reqwest::Error>;

impl SampleApp {
    pub(super) fn new(address: SocketAddr, keyferry: &str) -> Result<Self, reqwest::Error> {
        // The machine's proxy settings are for the world outside, and all of this is inside.
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).tls_certs_only([]).build()?;
        Ok(Self { own: format!("http://{address}"), keyferry: keyferry.to_owned(), http })
    }

    /// To connect: ask for a URL, and send the browser there.
    async fn connect(&self) -> Result<Answer, reqwest::Error> {
        let url = format!("{}/integrations/demo/authorize", self.keyferry);
        let (status, answer) = self.ask(Method::POST, &url, Some(json!({ "return_to": self.own }))).await?;
        Ok(match answer.as_str() {
            Some(url) => serve::see_other(url),
            None => self.page(&failure(status, &answer)),
        })
    }

    /// To call: the provider's API, by way of the sidecar. No token anywhere.
    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Asking {
        self.ask(method, &format!("{}/proxy/demo{path}", self.keyferry), body).await
    }

    /// To disconnect.
    async fn disconnect(&self) -> Asking {
        self.ask(Method::DELETE, &format!("{}/integrations/demo/connection", self.keyferry), None).await
    }

    async fn home(&self, query: &Fields) -> Result<Answer, reqwest::Error> {
        let (status, me) = self.call(Method::GET, "/v1/me", None).await?;
        if status == StatusCode::OK {
            let (_, notes) = self.call(Method::GET, "/v1/notes", None).await?;
            return Ok(self.page(&connected(&self.keyferry, &me, &notes)));
        }
        let words = match (query.get("status").map(String::as_str), me["code"].as_str()) {
            (Some("authorization_denied"), _) => {
                "You said no, so nothing is connected. Nothing is lost by trying again."
            }
            (_, Some("reconnect_required")) => "The provider has ended the connection. Connect again to go on.",
            (_, Some("not_connected")) => "Nothing is connected yet.",
            _ => return Ok(self.page(&failure(status, &me))),
        };
        Ok(self.page(&fill(include_str!("app_unconnected.html"), &[("words", words)])))
    }

    async fn ask(&self, method: Method, url: &str, body: Option<Value>) -> Asking {
        let mut request = self.http.request(method, url).header("accept", "application/json");
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await?;
        let status = response.status();
        Ok((status, serde_json::from_slice(&response.bytes().await?).unwrap_or_default()))
    }

    fn page(&self, body: &str) -> Answer {
        serve::page(StatusCode::OK, include_str!("app.html").replace("<!-- body -->", body))
    }
}

impl Site for SampleApp {
    async fn answer(&self, asked: Asked) -> Answer {
        let home = || Ok(serve::see_other("/"));
        let answer = match (&asked.method, asked.path.as_str()) {
            (&Method::GET, "/") => self.home(&asked.query).await,
            (&Method::GET, "/style.css") => Ok(serve::style()),
            (&Method::POST, "/connect") => self.connect().await,
            (&Method::POST, "/disconnect") => self.disconnect().await.and_then(|_| home()),
            (&Method::POST, "/notes") => {
                let text = Fields::parse(&asked.body).get("text").cloned().unwrap_or_default();
                self.call(Method::POST, "/v1/notes", Some(json!({ "text": text }))).await.and_then(|_| home())
            }
            _ => Ok(serve::text(StatusCode::NOT_FOUND, "The sample application has one page: /\n")),
        };
        answer.unwrap_or_else(|error| {
            let words = format!("The sidecar does not answer: {}", error.without_url());
            self.page(&format!("<p>{}</p>", escape(&words)))
        })
    }
}

fn connected(keyferry: &str, me: &Value, notes: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = notes["notes"].as_array().cloned().unwrap_or_default();
    let notes: String = list.iter().map(|note| format!("<li>{}</li>", escape(&text(&note["text"])))).collect();
    let values = [
        ("name", text(&me["name"])),
        ("number", me["access_token_number"].to_string()),
        ("keyferry", keyferry.to_owned()),
        ("answer", format!("{me:#}")),
    ];
    let values: Vec<_> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    fill(include_str!("app_connected.html"), &values).replace("<!-- notes -->", &notes)
}

fn failure(status: StatusCode, answer: &Value) -> String {
    let detail = answer["detail"].as_str().unwrap_or("No reason was given.");
    format!("<p>The sidecar answered {}. {}</p>", status.as_u16(), escape(detail))
}
