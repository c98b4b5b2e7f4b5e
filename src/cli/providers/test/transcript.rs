//! Requests as an author reads them: one parameter a line, secrets and fresh values under their names.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::Value;
use url::Url;

use super::player::{Answer, Heard, Part};
use super::stage::{CLIENT, CODE};

/// Fields that every request has, or that say nothing of the file.
const UNTOLD: [&str; 10] = [
    "accept-encoding",
    "connection",
    "content-length",
    "host",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "user-agent",
    "via",
    "x-forwarded-for",
];

/// Something that went over the wire, or through the browser.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Step {
    /// `browser` or the method.
    pub(super) method: String,
    /// Without the parameters.
    pub(super) url: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) headers: Vec<(String, String)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) query: Vec<(String, String)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) body: Vec<(String, String)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) answer: Option<String>,
    /// Whether it is the browser on its way back.
    #[serde(skip)]
    pub(super) is_redirect: bool,
    #[serde(skip)]
    pub(super) part: Option<Part>,
    /// Every value, as it was sent, for those who look whether one is there.
    #[serde(skip)]
    values: Vec<String>,
}

/// What is shown under a name instead.
#[derive(Clone, Debug, Default)]
pub(super) struct Masks(Vec<(String, &'static str)>);

impl Step {
    /// Whether it carries this value, as a parameter, in a header or in its URL.
    pub(super) fn carries(&self, value: &str) -> bool {
        self.values.iter().any(|sent| sent.contains(value))
    }

    /// Whether the same was asked, but for what is fresh; the answers may differ.
    pub(super) fn is_same_request(&self, other: &Self) -> bool {
        let all = |step: &Self| (step.method.clone(), step.url.clone(), step.headers.clone(), step.query.clone());
        all(self) == all(other) && self.body == other.body
    }
}

impl Masks {
    /// Learns what is fresh in an authorization URL or a token request.
    fn learn(&mut self, parameters: &[(String, String)]) {
        const FRESH: [(&str, &str); 3] =
            [("state", "<state>"), ("code_challenge", "<code_challenge>"), ("code_verifier", "<code_verifier>")];
        for (name, value) in parameters {
            let fresh = FRESH.iter().find(|(fresh, _)| fresh == name).map(|(_, shown)| *shown);
            if let Some(shown) = fresh.filter(|_| value.len() >= 43 && !self.0.iter().any(|(known, _)| known == value))
            {
                self.0.push((value.clone(), shown));
            }
        }
    }

    /// The text with names in place of what is secret or fresh.
    pub(super) fn shown(&self, text: &str) -> String {
        let mut shown = text.to_owned();
        for (value, name) in &self.0 {
            shown = shown.replace(value.as_str(), name);
        }
        let known = [
            (CLIENT.secret, "<client_secret>"),
            (CLIENT.id, "<client_id>"),
            ("the-access-token-", "<access_token "),
            ("the-refresh-token-", "<refresh_token "),
            ("the-exchanged-token-", "<exchanged_token "),
            ("the-further-token-", "<further_token "),
        ];
        for (value, name) in known {
            shown = shown.replace(value, name);
        }
        if shown == CODE {
            return "<code>".to_owned();
        }
        without_random(&numbered(&shown))
    }

    /// The browser on its way to the provider.
    pub(super) fn sent(&mut self, url: &str) -> Step {
        let (place, parameters) = split(&url.replacen("/#", "/%23", 1));
        self.learn(&parameters);
        self.step("browser", place.replacen("/%23", "/#", 1), Vec::new(), parameters, Vec::new())
    }

    /// The browser on its way back.
    pub(super) fn redirect(&mut self, url: &str, parameters: &[(String, String)]) -> Step {
        let step = self.step("browser", url.to_owned(), Vec::new(), parameters.to_vec(), Vec::new());
        Step { is_redirect: true, ..step }
    }

    /// A request.
    pub(super) fn heard(&mut self, heard: &Heard) -> Step {
        let (place, query) = split(heard.url.as_str());
        let body = body(heard);
        self.learn(&query);
        self.learn(&body);
        let tells = |name: &str, value: &[u8]| {
            !UNTOLD.contains(&name)
                && (name, value) != ("accept", b"application/json")
                && (name, value) != ("accept", b"*/*")
        };
        let headers = heard.headers.iter().filter(|(name, value)| tells(name.as_str(), value.as_bytes()));
        let headers = headers
            .map(|(name, value)| (name.to_string(), without_base64(&String::from_utf8_lossy(value.as_bytes()))))
            .collect();
        let mut step = self.step(&heard.method, place, headers, query, body);
        step.part = Some(heard.part);
        step.answer = Some(match &heard.answer {
            Answer::Now { status, body, .. } => self.shown(&format!("{status} {}", body.replace('\n', " "))),
            Answer::Never => "none".to_owned(),
        });
        step
    }

    fn step(
        &self,
        method: &str,
        url: String,
        headers: Vec<(String, String)>,
        query: Vec<(String, String)>,
        body: Vec<(String, String)>,
    ) -> Step {
        let all = headers.iter().chain(&query).chain(&body).map(|(_, value)| value.clone());
        let path = percent_decode_str(&url).decode_utf8_lossy().into_owned();
        let values = all.chain([path]).collect();
        let shown = |pairs: Vec<(String, String)>| -> Vec<(String, String)> {
            pairs.into_iter().map(|(name, value)| (self.shown(&name), self.shown(&value))).collect()
        };
        Step {
            method: method.to_owned(),
            url: self.shown(&url),
            headers: shown(headers),
            query: shown(query),
            body: shown(body),
            answer: None,
            is_redirect: false,
            part: None,
            values,
        }
    }
}

/// The URL before its query, and the query.
fn split(url: &str) -> (String, Vec<(String, String)>) {
    let place = url.split('?').next().unwrap_or(url).to_owned();
    let query = Url::parse(url).ok().map(|url| url.query_pairs().into_owned().collect()).unwrap_or_default();
    (place, query)
}

fn body(heard: &Heard) -> Vec<(String, String)> {
    if heard.body.is_empty() {
        return Vec::new();
    }
    let is_form =
        heard.headers.get(http::header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().ends_with(b"form-urlencoded"));
    if is_form {
        return form_urlencoded::parse(heard.body.as_bytes()).into_owned().collect();
    }
    match serde_json::from_str(&heard.body) {
        Ok(Value::Object(members)) => members.into_iter().map(|(name, value)| (name, text(value))).collect(),
        _ => vec![("body".to_owned(), heard.body.clone())],
    }
}

fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// `Basic` with what stands behind it, as it was before it was encoded (RFC 7617 section 2).
fn without_base64(value: &str) -> String {
    let decoded = value.strip_prefix("Basic ").and_then(|text| STANDARD.decode(text).ok());
    let login = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
    login.map_or_else(|| value.to_owned(), |login| format!("Basic {}", percent_decode_str(&login).decode_utf8_lossy()))
}

/// `<access_token 1` becomes `<access_token>`, `<access_token 2` `<access_token 2>`.
fn numbered(text: &str) -> String {
    const OURS: [&str; 4] = ["<access_token ", "<refresh_token ", "<exchanged_token ", "<further_token "];
    let mut shown = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("_token ").map(|at| at + "_token ".len()) {
        let (before, after) = rest.split_at(at);
        let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        let (number, after) = after.split_at(digits);
        let is_ours = OURS.iter().any(|ours| before.ends_with(ours));
        match (is_ours, number) {
            (true, "1") => shown.extend([before.trim_end(), ">"]),
            (true, _) => shown.extend([before, number, ">"]),
            (false, _) => shown.extend([before, number]),
        }
        rest = after;
    }
    shown + rest
}

/// What `{random}` became is 43 characters of base64url.
fn without_random(text: &str) -> String {
    const LENGTH: usize = 43;
    let is_base64url = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut shown = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_base64url) {
        let end = rest[start..].find(|c| !is_base64url(c)).map_or(rest.len(), |length| start + length);
        let run = &rest[start..end];
        shown.push_str(&rest[..start]);
        // A word of nothing but letters is somebody's.
        if run.len() >= LENGTH
            && run.contains(|c: char| c.is_ascii_digit())
            && run.contains(|c: char| c.is_ascii_uppercase())
        {
            shown.extend([&run[..run.len() - LENGTH], "<random>"]);
        } else {
            shown.push_str(run);
        }
        rest = &rest[end..];
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown() {
        fn check(text: &str, expected: &str) {
            assert_eq!(Masks::default().shown(text), expected, "{text}");
        }
        check("Bearer the-access-token-1", "Bearer <access_token>");
        check(
            r#"{"a":"the-access-token-2","r":"the-refresh-token-1"}"#,
            r#"{"a":"<access_token 2>","r":"<refresh_token>"}"#,
        );
        check("Basic the-client-id:the-client-secret", "Basic <client_id>:<client_secret>");
        check("the-code", "<code>");
        check("some_token 5", "some_token 5");
        check("n-dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "n-<random>");
        check("a-long-name-of-more-than-forty-three-characters", "a-long-name-of-more-than-forty-three-characters");
    }
}
