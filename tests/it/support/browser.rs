//! A person's browser, as far as a sign-in needs one: it keeps cookies as RFC 6265 says (by host, whatever the port),
//! follows redirects itself, says with `Sec-Fetch-*` and `Origin` where a navigation comes from, and fills in the login
//! and consent pages of oidc-provider. It runs no scripts.

mod cookies;

use reqwest::header::LOCATION;
use url::Url;

use self::cookies::Cookies;
use super::{
    Answer, Request,
    http::{self},
};

const REDIRECTS: usize = 20;

/// One person's browser, with cookies of its own.
pub(crate) struct Browser {
    client: reqwest::Client,
    cookies: Cookies,
    visited: Vec<Url>,
    outside: Vec<String>,
}

/// Where a navigation ended.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    /// The last URL.
    pub(crate) url: Url,
    /// The answer there; nothing when that URL lies outside of the test ([`Browser::outside`]).
    pub(crate) answer: Option<Answer>,
}

enum Step<'a> {
    Get,
    Submit { from: Url, fields: Vec<(&'a str, &'a str)> },
}

impl Browser {
    /// A fresh browser.
    pub(crate) fn new() -> Self {
        Self { client: http::client(), cookies: Cookies::default(), visited: Vec::new(), outside: Vec::new() }
    }

    /// Counts every URL that starts with `prefix` as outside of the test: a navigation ends there and nothing is sent.
    pub(crate) fn outside(mut self, prefix: &str) -> Self {
        self.outside.push(prefix.to_owned());
        self
    }

    /// Every URL that it went to, in order.
    pub(crate) fn visited(&self) -> &[Url] {
        &self.visited
    }

    /// Opens a URL, as typed, and follows where it leads.
    pub(crate) async fn open(&mut self, url: &str) -> Page {
        self.navigate(parse(url), Step::Get).await
    }

    /// Sends a form from a page of the same origin, and follows where it leads.
    pub(crate) async fn submit(&mut self, url: &str, fields: &[(&str, &str)]) -> Page {
        let url = parse(url);
        self.navigate(url.clone(), Step::Submit { from: url, fields: fields.to_vec() }).await
    }

    /// What a script of the same origin asks for with `fetch()`.
    pub(crate) fn fetch(&self, method: &str, url: &str) -> Request {
        let url = parse(url);
        let mut request = Request::new(&self.client, method, url.as_str())
            .header("accept", "application/json")
            .header("sec-fetch-mode", "cors")
            .header("sec-fetch-dest", "empty")
            .header("sec-fetch-site", "same-origin");
        if method != "GET" {
            request = request.header("origin", &url.origin().ascii_serialization());
        }
        match self.cookies(url.as_str()) {
            Some(cookies) => request.header("cookie", &cookies),
            None => request,
        }
    }

    /// The cookies that go to a URL from a page of its own site.
    pub(crate) fn cookies(&self, url: &str) -> Option<String> {
        self.cookies.for_request(&parse(url), false)
    }

    /// Keeps what an answer sets, as it does by itself when it navigates.
    pub(crate) fn keep(&mut self, url: &str, answer: &Answer) {
        self.cookies.keep(&parse(url), answer);
    }

    /// Opens an authorization URL and says yes to everything, as `account`; answers where that ended.
    pub(crate) async fn sign_in(&mut self, url: &str, account: &str) -> Page {
        let page = self.open(url).await;
        self.agree(page, account).await
    }

    /// Says yes on a sign-in page that is open, as `account`.
    pub(crate) async fn agree(&mut self, mut page: Page, account: &str) -> Page {
        for _ in 0..5 {
            let Some((action, prompt)) = interaction(&page) else { return page };
            let mut fields = vec![("prompt", prompt.as_str())];
            if prompt == "login" {
                fields.extend([("login", account), ("password", "any")]);
            }
            page = self.navigate(action, Step::Submit { from: page.url.clone(), fields }).await;
        }
        panic!("the sign-in does not end: {:?}", self.visited)
    }

    /// Opens an authorization URL and says no.
    pub(crate) async fn deny(&mut self, url: &str) -> Page {
        let page = self.open(url).await;
        let abort = attribute(&page.text(), "href=\"", |href| href.ends_with("/abort"))
            .unwrap_or_else(|| panic!("no way to say no at {}: {}", page.url, page.text()));
        self.navigate(page.url.join(&abort).expect("a link on a page"), Step::Get).await
    }

    async fn navigate(&mut self, mut url: Url, mut step: Step<'_>) -> Page {
        // The origin that a person acted on; a redirect through another origin taints it.
        let mut site = match &step {
            Step::Get => "none",
            Step::Submit { from, .. } => relation(from, &url),
        };
        for _ in 0..REDIRECTS {
            self.visited.push(url.clone());
            if self.outside.iter().any(|prefix| url.as_str().starts_with(prefix)) {
                return Page { url, answer: None };
            }
            let answer = self.send(&url, &step, site).await;
            self.cookies.keep(&url, &answer);
            let location = answer.headers.get(LOCATION).filter(|_| (300..400).contains(&answer.status));
            let Some(location) = location else {
                let refresh =
                    attribute(&answer.text(), "http-equiv=\"refresh\" content=\"", |content| content.contains("url="));
                let Some(place) = refresh.as_deref().and_then(|content| content.split_once("url=")) else {
                    return Page { url, answer: Some(answer) };
                };
                // From the page itself, so it is the same origin's.
                let next = url.join(place.1).expect("a refresh leads to a URL");
                (site, step) = (relation(&url, &next), Step::Get);
                url = next;
                continue;
            };
            let next = url.join(location.to_str().expect("a location is text")).expect("a location is a URL");
            if site != "none" {
                site = further(site, relation(&url, &next));
            }
            // 303 always, and 301 and 302 by the custom of all browsers, turn a POST into a GET.
            if answer.status != 307 && answer.status != 308 {
                step = Step::Get;
            }
            url = next;
        }
        panic!("more than {REDIRECTS} redirects: {:?}", self.visited)
    }

    async fn send(&self, url: &Url, step: &Step<'_>, site: &str) -> Answer {
        let method = if matches!(step, Step::Get) { "GET" } else { "POST" };
        let mut request = Request::new(&self.client, method, url.as_str())
            .header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document")
            .header("sec-fetch-user", "?1")
            .header("sec-fetch-site", site);
        if let Some(cookies) = self.cookies.for_request(url, site == "cross-site") {
            request = request.header("cookie", &cookies);
        }
        if let Step::Submit { from, fields } = step {
            request = request.header("origin", &from.origin().ascii_serialization()).form(fields.iter().copied());
        }
        request.send().await
    }
}

impl Page {
    /// The status; panics outside of the test.
    #[track_caller]
    pub(crate) fn status(&self) -> u16 {
        self.answer().status
    }

    /// The answer; panics outside of the test.
    #[track_caller]
    pub(crate) fn answer(&self) -> &Answer {
        self.answer.as_ref().unwrap_or_else(|| panic!("{} was not fetched", self.url))
    }

    /// The page's text; empty outside of the test.
    pub(crate) fn text(&self) -> String {
        self.answer.as_ref().map(Answer::text).unwrap_or_default()
    }

    /// A parameter of the page's URL.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        self.url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}

/// Where the form of a login or consent page of oidc-provider goes, and which of the two it is.
fn interaction(page: &Page) -> Option<(Url, String)> {
    let text = page.text();
    let prompt = ["login", "consent"]
        .into_iter()
        .find(|prompt| text.contains(&format!(r#"<input type="hidden" name="prompt" value="{prompt}"/>"#)))?;
    let action = attribute(&text, "action=\"", |action| action.contains("/interaction/"))?;
    Some((page.url.join(&action).expect("a form's action is a URL"), prompt.to_owned()))
}

/// The first value of an attribute that is `wanted`, unescaped.
fn attribute(html: &str, opening: &str, wanted: impl Fn(&str) -> bool) -> Option<String> {
    html.split(opening)
        .skip(1)
        .filter_map(|rest| rest.split_once('"'))
        .map(|(value, _)| value.replace("&amp;", "&").replace("&#x2F;", "/"))
        .find(|value| wanted(value))
}

fn parse(url: &str) -> Url {
    Url::parse(url).unwrap_or_else(|error| panic!("`{url}` is not a URL: {error}"))
}

fn relation(from: &Url, to: &Url) -> &'static str {
    if from.origin() == to.origin() {
        "same-origin"
    } else if from.scheme() == to.scheme() && from.host() == to.host() {
        "same-site"
    } else {
        "cross-site"
    }
}

fn further(one: &'static str, other: &'static str) -> &'static str {
    let distance = |site| ["none", "same-origin", "same-site", "cross-site"].iter().position(|name| *name == site);
    if distance(one) >= distance(other) { one } else { other }
}
