//! The lists of HubSpot, Notion and Airtable: the same items, in the same order, by every way in which a list is given
//! out, and from every place in it.

use std::process::{Command, ExitStatus};
use std::time::Duration;

use serde_json::Value;

use super::expected::{self, FIELDS};
use super::scene::{Integration, Scene, array};
use crate::support::{Process, Recorded};

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn hubspot_by_every_way() {
    let scene = Scene::new(&[Integration::hubspot()]).await;
    let requests = given_out_alike(&scene, "hubspot", &expected::hubspot(), &[]).await;
    let targets: Vec<&str> = requests.iter().map(|request| request.target.as_str()).collect();
    assert_eq!(targets.len(), 6, "{targets:?}");
    // No cursor on page one; on page two the very text that was given, encoded once.
    for (first, second, after) in [(0, 1, "202"), (2, 3, "9002"), (4, 5, "NzcwMDI%253D")] {
        assert!(!targets[first].contains("after"), "{targets:?}");
        assert!(
            targets[second].ends_with(&format!("after={after}"))
                || targets[second].contains(&format!("after={after}&"))
        );
        assert!(targets[second].contains("limit=100"), "{targets:?}");
    }
}

#[tokio::test]
async fn notion_by_every_way() {
    let scene = Scene::new(&[Integration::notion()]).await;
    let requests = given_out_alike(&scene, "notion", &expected::notion(), &[]).await;
    let bodies: Vec<Value> =
        requests.iter().map(|request| serde_json::from_slice(&request.body()).expect("a JSON body")).collect();
    assert_eq!(bodies.len(), 2, "{bodies:?}");
    assert_eq!((bodies[0].get("start_cursor"), &bodies[1]["start_cursor"]), (None, &expected::page(3).into()));
    assert!(bodies.iter().all(|body| body["page_size"] == 100), "{bodies:?}");
}

#[tokio::test]
async fn airtable_by_every_way() {
    let scene = Scene::new(&[Integration::airtable()]).await;
    let requests = given_out_alike(&scene, "airtable", &expected::airtable(), &["skipped"]).await;
    let targets: Vec<&str> = requests.iter().map(|request| request.target.as_str()).collect();
    // A base, its tables, the next base: as they are given out.
    let base = |number: u8| format!("/v0/meta/bases/appA1fakeBase000{number}/tables");
    let second = targets.iter().position(|target| target.contains("offset=")).expect("a second page");
    let offset = targets[second].split_once("offset=").expect("an offset").1;
    assert_eq!(decoded(offset), "itrFakeOffset1/appA1fakeBase0002");
    assert_eq!(targets[..3], ["/v0/meta/bases".to_owned(), base(1), base(2)]);
    assert_eq!(targets[4..], [base(3)]);
    let refused: Vec<_> = requests.iter().filter(|request| request.status == Some(403)).collect();
    assert_eq!(refused.len(), 1, "the tables of the third base are asked for once");
}

#[tokio::test]
async fn one_type_is_a_list_of_its_own() {
    let scene = Scene::new(&[Integration::hubspot(), Integration::airtable()]).await;
    let deals = scene.lines("hubspot", &[("type", "Deal")]).await;
    assert_eq!(deals.items, expected::hubspot()[5..]);
    let people = scene.lines("hubspot", &[("type", "Contact, Company")]).await;
    assert_eq!(people.items, expected::hubspot()[..5]);
    let tables = scene.document("airtable", &[("type", "Table")]).await;
    let all = expected::airtable();
    let expected: Vec<_> = all.into_iter().filter(|item| item["type"] == "Table").collect();
    assert_eq!(tables.items, expected);
    let none = scene.lines("hubspot", &[("type", "Ticket")]).await;
    assert_eq!((none.items, none.problems, none.next), (vec![], vec![], None));

    // A cursor remembers what it was drawn with.
    let first = scene.document("hubspot", &[("type", "Contact"), ("limit", "1")]).await;
    let cursor = first.next.expect("two more");
    let rest = scene.lines("hubspot", &[("cursor", &cursor)]).await;
    assert_eq!(rest.items, expected::hubspot()[1..3]);
    let other = scene.get("hubspot", &[("cursor", &cursor), ("type", "Deal")], "*/*").await;
    other.expect_problem(400, "bad_request");
}

/// Loads the list in every way and from every place; answers the vendor's requests of the first load.
async fn given_out_alike(scene: &Scene, name: &str, expected: &[Value], problems: &[&str]) -> Vec<Recorded> {
    let loaded = scene.load(name).await.expect(200);
    let requests = scene.vendors.take().await;
    assert_eq!(array(&loaded), expected, "load");
    assert_eq!(loaded.header("keyferry-problems"), Some(problems.len().to_string().as_str()));
    assert_eq!(loaded.header("content-type"), Some("application/json"));
    in_order(&loaded.text());
    for request in &requests {
        let accepted = matches!(request.status, Some(200 | 403));
        assert!(accepted, "{} {} was answered {:?}", request.method, request.target, request.status);
    }

    let lines = scene.lines(name, &[]).await;
    assert_eq!((lines.items.as_slice(), lines.codes(), &lines.next), (expected, problems.to_vec(), &None), "lines");
    let document = scene.document(name, &[]).await;
    assert_eq!(document, lines);

    from_every_place(scene, name, expected).await;
    assert_eq!(typed(scene, name, &[]).await, expected, "the command");
    scene.assert_keeps(&[&loaded]).await;
    requests
}

/// Reads the list in two parts, split at each place, and in parts of every length.
async fn from_every_place(scene: &Scene, name: &str, expected: &[Value]) {
    for place in 1..expected.len() {
        let text = place.to_string();
        let first = scene.document(name, &[("limit", &text)]).await;
        assert_eq!(first.items, expected[..place], "the first {place}");
        let cursor = first.next.expect("there is more");
        let rest = scene.lines(name, &[("cursor", &cursor)]).await;
        assert_eq!((rest.items.as_slice(), rest.next), (&expected[place..], None), "after the first {place}");

        let mut part = scene.lines(name, &[("limit", &text)]).await;
        let mut whole = part.items.clone();
        while let Some(cursor) = part.next {
            part = scene.lines(name, &[("limit", &text), ("cursor", &cursor)]).await;
            assert!(part.items.len() <= place, "more than {place}");
            whole.extend(part.items.clone());
        }
        assert_eq!(whole, expected, "in parts of {place}");
    }
}

/// `keyferry items`, as it is typed.
async fn typed(scene: &Scene, name: &str, arguments: &[&str]) -> Vec<Value> {
    let (status, process) = command(scene, name, arguments).await;
    assert!(status.success(), "{status}: {}{}", process.stdout(), process.stderr());
    process.stdout().lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

/// The same to its end, however it ended.
pub(super) async fn command(scene: &Scene, name: &str, arguments: &[&str]) -> (ExitStatus, Process) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyferry"));
    command.env_clear().args(["items", name, "--org", "analytical", "--user", "ada"]);
    command.args(["--url", scene.keyferry.public_url()]).args(arguments);
    let mut process = Process::start("keyferry items", command);
    process.close_stdin();
    (process.wait(LIMIT).await, process)
}

/// The fields stand in the contract's order.
fn in_order(text: &str) {
    let first = text.split_once('}').expect("an item").0;
    let mut rest = first;
    for field in FIELDS {
        let name = format!("\"{field}\":");
        rest = rest.split_once(&name).unwrap_or_else(|| panic!("{field} is missing or comes too early: {first}")).1;
    }
}

fn decoded(text: &str) -> String {
    let pair = format!("x={text}");
    form_urlencoded::parse(pair.as_bytes()).next().expect("one pair").1.into_owned()
}
