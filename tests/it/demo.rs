//! `keyferry demo`, walked as a newcomer walks it: what it prints is opened, its forms are sent, its `curl` line is called
//! before and after a token has expired.

use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use url::Url;

use crate::support::{Answer, Process, Request, plain_client, run_scenario, until};

/// How long a debug build on a busy machine may take for anything here.
const LIMIT: Duration = Duration::from_secs(30);

/// A running demo, and what it said to open.
struct Demo {
    process: Process,
    http: reqwest::Client,
    authorize: String,
    app: String,
    api: String,
    items: String,
}

impl Demo {
    async fn start(folder: &tempfile::TempDir) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyferry"));
        command.env_clear().env("TMPDIR", folder.path()).args(["demo", "--port", "0", "--token-life", "4s"]);
        let mut process = Process::start("keyferry demo", command);
        let said = process
            .output("introduction", LIMIT, |demo| demo.stdout().contains("What happens").then(|| demo.stdout()))
            .await;
        let line = |begins: &str, contains: &str| {
            let lines = said.lines().map(str::trim);
            let mut found = lines.filter(|line| line.starts_with(begins) && line.contains(contains));
            found.next().unwrap_or_else(|| panic!("no {begins}…{contains} in\n{said}")).to_owned()
        };
        let api = line("curl ", "/proxy/demo/").trim_start_matches("curl ").to_owned();
        let items = line("curl ", "/integrations/").trim_start_matches("curl ").to_owned();
        let (page, app) = (line("http://localhost:", "/integrations"), line("http://127.0.0.1:", ""));
        // What its button opens.
        let authorize = format!("{page}/demo/authorize");
        Self { process, http: plain_client(), authorize, app, api, items }
    }

    async fn get(&self, url: &str) -> Answer {
        Request::new(&self.http, "GET", url).header("accept", "text/html").send().await
    }

    async fn post(&self, url: &str, form: &[(&str, &str)]) -> Answer {
        let request = Request::new(&self.http, "POST", url).header("sec-fetch-site", "same-origin");
        request.form(form.iter().copied()).send().await
    }

    /// Answers the provider's consent page, and gives where the browser is sent.
    async fn decide(&self, provider: &str, account: &str, decision: &str) -> String {
        let page = self.get(provider).await.expect(200);
        let policy = page.header("content-security-policy").expect("a policy").to_owned();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(page.text().contains("This is a demo."), "{}", page.text());
        let request = hidden(&page.text(), "request");
        let action = Url::parse(provider).expect("a URL").join("/authorize").expect("a path");
        let form = [("request", request.as_str()), ("account", account), ("decision", decision)];
        place(&self.post(action.as_str(), &form).await.expect(303))
    }

    async fn me(&self) -> Value {
        self.get(&self.api).await.expect(200).json()
    }
}

/// Where a redirect leads.
fn place(answer: &Answer) -> String {
    answer.header("location").expect("a place").to_owned()
}

/// The value of a hidden field.
fn hidden(html: &str, name: &str) -> String {
    let field = format!("name=\"{name}\" value=\"");
    let value = html.split_once(&field).unwrap_or_else(|| panic!("no {name} in {html}")).1;
    value.split('"').next().expect("a quote ends it").to_owned()
}

#[tokio::test]
async fn a_newcomer_connects_calls_and_calls_again_after_the_token_expired() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut demo = Demo::start(&folder).await;

    demo.get(&demo.api).await.expect_problem(424, "not_connected");
    let provider = place(&demo.get(&demo.authorize).await.expect(303));
    let callback = demo.decide(&provider, "ada", "allow").await;
    let finished = demo.get(&callback).await.expect(200);
    assert!(finished.text().contains("Demo Notes is connected"), "{}", finished.text());
    assert_eq!(demo.get(&callback).await.expect(400).header("keyferry-error"), Some("state_mismatch"));

    let me = demo.me().await;
    assert_eq!((&me["id"], &me["demo"], &me["access_token_number"]), (&"ada".into(), &true.into(), &1.into()));
    let notes = Request::new(&demo.http, "POST", &demo.api.replace("/v1/me", "/v1/notes"));
    let note = notes.json(&serde_json::json!({ "text": "written through the sidecar" })).send().await.expect(201);
    assert_eq!(note.json()["text"], "written through the sidecar");

    let items = Request::new(&demo.http, "GET", &demo.items).send().await.expect(200).text();
    let items: Vec<Value> = items.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect();
    let names: Vec<&str> = items.iter().filter_map(|item| item["name"].as_str()).collect();
    assert_eq!(
        names,
        ["Buy a ticket for the ferry.", "The keys are under the third plant.", "written through the sidecar"]
    );
    assert_eq!(items.last(), Some(&serde_json::json!({ "problems": [], "next": null })));

    let renewed = until("a call with the next token", LIMIT, || async {
        let me = demo.me().await;
        (me["access_token_number"].as_u64() >= Some(2)).then_some(me)
    })
    .await;
    assert_eq!(renewed["id"], "ada");
    let said = demo.process.stdout();
    assert!(said.contains("connected: Ada Quill") && said.contains("refreshed: access token number 2"), "{said}");
    assert!(!said.contains("refused:"), "{said}");

    demo.process.signal(Signal::INT);
    let status = demo.process.wait(LIMIT).await;
    assert!(status.success(), "{status}\n{}", demo.process.stderr());
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("the folder").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_browser_walks_the_demo() {
    let folder = tempfile::tempdir().expect("a folder");
    let demo = Demo::start(&folder).await;
    let page = demo.authorize.trim_end_matches("/demo/authorize");
    run_scenario("demo.mjs", &serde_json::json!({ "page": page, "application": demo.app })).await;
    assert!(!demo.process.stdout().contains("refused:"), "{}", demo.process.stdout());
}

#[tokio::test]
async fn the_sample_application_connects_without_a_token_in_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let demo = Demo::start(&folder).await;
    let at = |path: &str| format!("{}{path}", demo.app);

    assert!(demo.get(&demo.app).await.expect(200).text().contains("Nothing is connected yet."));
    // No: back at the application, which says so.
    let provider = place(&demo.post(&at("/connect"), &[]).await.expect(303));
    let callback = demo.decide(&provider, "bo", "deny").await;
    let returned = place(&demo.get(&callback).await.expect(303));
    assert!(returned.starts_with(&demo.app) && returned.contains("status=authorization_denied"), "{returned}");
    assert!(demo.get(&returned).await.expect(200).text().contains("You said no"), "{returned}");
    // Yes.
    let provider = place(&demo.post(&at("/connect"), &[]).await.expect(303));
    let callback = demo.decide(&provider, "bo", "allow").await;
    let returned = place(&demo.get(&callback).await.expect(303));
    assert!(returned.contains("status=active"), "{returned}");

    demo.post(&at("/notes"), &[("text", "<b>bold</b>")]).await.expect(303);
    let home = demo.get(&returned).await.expect(200).text();
    assert!(home.contains("Connected as <b>Bo Marchetti</b>"), "{home}");
    assert!(home.contains("<li>&lt;b&gt;bold&lt;/b&gt;</li>"), "{home}");
    demo.post(&at("/disconnect"), &[]).await.expect(303);
    assert!(demo.get(&demo.app).await.expect(200).text().contains("Nothing is connected yet."));
    until("the provider hears of it", LIMIT, || async {
        demo.process.stdout().contains("revoked: Keyferry ended the grant of Bo Marchetti").then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_demos_own_sites_keep_to_themselves() {
    let folder = tempfile::tempdir().expect("a folder");
    let demo = Demo::start(&folder).await;
    let provider = place(&demo.get(&demo.authorize).await.expect(303));
    let origin = Url::parse(&provider).expect("a URL").origin().ascii_serialization();

    let api = demo.get(&format!("{origin}/v1/me")).await.expect(401);
    assert_eq!(api.header("www-authenticate"), Some("Bearer realm=\"demo\""));
    Request::new(&demo.http, "GET", &provider).header("host", "evil.test").send().await.expect(421);
    let foreign = Request::new(&demo.http, "POST", &format!("{}/disconnect", demo.app));
    foreign.header("sec-fetch-site", "cross-site").form([]).send().await.expect(403);
    Request::new(&demo.http, "POST", &format!("{origin}/token"))
        .form([("grant_type", "refresh_token")])
        .send()
        .await
        .expect(401);
    Request::new(&demo.http, "POST", &format!("{origin}/token")).body(vec![b'a'; 20_000]).send().await.expect(413);
}
