//! Keyferry between an authorization server and the vendors' APIs, with people connected.

use serde_json::Value;

pub(super) use crate::support::Integration;
use crate::support::{Answer, AuthorizationServer, Configuration, Keyferry, Person, Vendors, hub_patch};

/// Everything that a test needs.
pub(super) struct Scene {
    pub(super) server: AuthorizationServer,
    pub(super) vendors: Vendors,
    pub(super) keyferry: Keyferry,
}

/// A list in one piece, however it was given out.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct List {
    pub(super) items: Vec<Value>,
    pub(super) problems: Vec<Value>,
    pub(super) next: Option<String>,
}

impl Scene {
    /// In the open mode, with Ada connected at each.
    pub(super) async fn new(integrations: &[Integration]) -> Self {
        let scene = Self::unconnected(integrations, Configuration::new()).await;
        for integration in integrations {
            scene.connect(integration.name, Person::ADA).await;
        }
        scene
    }

    /// With a configuration that has more in it, and nobody connected.
    pub(super) async fn unconnected(integrations: &[Integration], configuration: Configuration) -> Self {
        let server = AuthorizationServer::start().await;
        let vendors = Vendors::start(&server).await;
        let configuration = integrations
            .iter()
            .fold(configuration, |configuration, integration| integration.configure(configuration, &server, &vendors));
        Self { keyferry: Keyferry::start(configuration).await, server, vendors }
    }

    /// Connects a person; the answer to the code says of the account what HubSpot and Slack say.
    pub(super) async fn connect(&self, integration: &str, person: Person) {
        self.server.fault(hub_patch()).await;
        self.keyferry.connect(integration, person).await;
    }

    /// Every access token is over at once, as if revoked.
    pub(super) async fn forget_tokens(&self) {
        self.server.forget("AccessToken").await;
    }

    /// `POST …/load` with Ada's credentials.
    pub(super) async fn load(&self, integration: &str) -> Answer {
        self.load_for(integration, Person::ADA).await
    }

    /// The same for somebody else.
    pub(super) async fn load_for(&self, integration: &str, person: Person) -> Answer {
        let handle = self.keyferry.credentials(integration, person).await.expect(200).text();
        self.load_with(integration, person, &handle).await
    }

    /// `POST …/load` of a person with any credentials.
    pub(super) async fn load_with(&self, integration: &str, person: Person, handle: &str) -> Answer {
        let path = format!("/integrations/{integration}/load");
        self.keyferry.request_for("POST", &path, person).form([("credentials", handle)]).send().await
    }

    /// `GET …/items` of Ada, as it comes.
    pub(super) async fn get(&self, integration: &str, query: &[(&str, &str)], accept: &str) -> Answer {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        let path = format!("/integrations/{integration}/items?{query}");
        self.keyferry.request_for("GET", &path, Person::ADA).header("accept", accept).send().await
    }

    /// `GET …/items` as lines.
    pub(super) async fn lines(&self, integration: &str, query: &[(&str, &str)]) -> List {
        let answer = self.get(integration, query, "*/*").await.expect(200);
        assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
        List::from_lines(&answer.text())
    }

    /// `GET …/items` as one JSON document.
    pub(super) async fn document(&self, integration: &str, query: &[(&str, &str)]) -> List {
        let answer = self.get(integration, query, "application/json").await.expect(200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        List::from_ending(answer.json()["items"].as_array().expect("a list").clone(), &answer.json())
    }

    /// No secret of anybody's stands in the log, in what Keyferry wrote, or in `answers`.
    pub(super) async fn assert_keeps(&self, answers: &[&Answer]) {
        let secrets = self.server.secrets().await;
        self.keyferry.assert_keeps(&secrets);
        let secrets: Vec<&String> = secrets.iter().collect();
        for answer in answers {
            crate::support::assert_free_of(&secrets, "an answer", &answer.body);
            crate::support::assert_free_of(&secrets, "its head", format!("{:?}", answer.headers).as_bytes());
        }
    }
}

impl List {
    /// From lines of JSON, the last of which says how the list ended.
    pub(super) fn from_lines(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line has no end: {text:?}");
        let mut lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
        let ending = lines.pop().expect("there is always an ending");
        Self::from_ending(lines, &ending)
    }

    fn from_ending(items: Vec<Value>, ending: &Value) -> Self {
        let problems = ending["problems"].as_array().unwrap_or_else(|| panic!("no problems in {ending}")).clone();
        let next = match &ending["next"] {
            Value::Null => None,
            next => Some(next.as_str().expect("a cursor is text").to_owned()),
        };
        Self { items, problems, next }
    }

    /// The ids.
    pub(super) fn ids(&self) -> Vec<&str> {
        ids(&self.items)
    }

    /// The codes of what went wrong.
    pub(super) fn codes(&self) -> Vec<&str> {
        self.problems.iter().map(|problem| problem["code"].as_str().expect("a code")).collect()
    }
}

/// The ids of items.
pub(super) fn ids(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| item["id"].as_str().unwrap_or_else(|| panic!("no id: {item}"))).collect()
}

/// The items of a JSON array.
pub(super) fn array(answer: &Answer) -> Vec<Value> {
    answer.json().as_array().unwrap_or_else(|| panic!("no array: {}", answer.describe())).clone()
}

/// The present moment, in seconds since 1970.
pub(super) fn now() -> u64 {
    u64::try_from(keyferry::clock::Clock::System.now().unix_millis() / 1000).expect("after 1970")
}
