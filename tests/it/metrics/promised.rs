//! What is written about the page, against a real page after traffic: docs/metrics.md, the dashboard, and the alert rules
//! with their sections in docs/alerts.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::PATIENCE;
use crate::support::{Keyferry, Metrics, Process, peers};

/// Labels that Prometheus puts on every series of a target.
const OF_TARGETS: [&str; 2] = ["job", "instance"];

/// Holds all of it to the page of this process.
pub(super) async fn hold(keyferry: &Keyferry) {
    let (text, open_metrics) = (Metrics::of(keyferry).await, Metrics::in_open_metrics(keyferry).await);
    assert_eq!(text.content_type(), "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(open_metrics.content_type(), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert_eq!(text.series(), open_metrics.series(), "the same series in both formats");
    for page in [&text, &open_metrics] {
        assert!(page.families().iter().all(|(_, _, help)| help.ends_with('.')), "each has a sentence");
    }
    is_documented(&text);
    let (alerts, expressions) = alerts().await;
    has_sections(&alerts);
    names_what_exists(&text, [expressions, dashboard()].concat()).await;
    head_is_the_same_without_a_body(keyferry).await;
    promtool_agrees(keyferry).await;
}

/// Each metric of the page has its line in docs/metrics.md, with its type and labels, and each line its metric.
fn is_documented(page: &Metrics) {
    let series = page.series();
    let labels_of = |name: &str| -> BTreeSet<String> {
        let of_it = series.iter().filter(|(sample, _)| sample == name || *sample == format!("{name}_count"));
        of_it.flat_map(|(_, labels)| labels.keys().cloned()).collect()
    };
    let on_page: BTreeSet<_> = page
        .families()
        .into_iter()
        .map(|(name, kind, _)| {
            // The parser calls a counter by its name without `_total`.
            let name = if kind == "counter" { format!("{name}_total") } else { name.to_owned() };
            let labels = labels_of(&name);
            (name, kind.to_owned(), labels)
        })
        .collect();
    let document = read("docs/metrics.md");
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let rows = rows.filter(|(name, _)| name.starts_with("keyferry_") || name.starts_with("process_"));
    let documented: BTreeSet<_> = rows
        .map(|(name, rest)| {
            let mut cells = rest.split('|').map(str::trim);
            let (kind, labels) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
            let labels = labels.split_whitespace().map(|label| label.trim_matches('`').to_owned());
            (name.to_owned(), kind.to_owned(), labels.collect())
        })
        .collect();
    assert_eq!(documented, on_page);
}

/// The alert rules, and their expressions.
async fn alerts() -> (Vec<Value>, Vec<String>) {
    let to_json = "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))";
    let mut python = Command::new(peers(".venv/bin/python"));
    python.args(["-c", to_json]);
    let rules = piped(python, &read("deploy/prometheus/alerts.yaml")).await;
    let groups = rules["groups"].as_array().expect("groups");
    let alerts: Vec<Value> =
        groups.iter().flat_map(|group| group["rules"].as_array().expect("rules").clone()).collect();
    let expressions = alerts.iter().map(|alert| alert["expr"].as_str().expect("an expression").to_owned()).collect();
    (alerts, expressions)
}

/// Each alert says what it is about and where that is explained, and nothing else is explained there.
fn has_sections(alerts: &[Value]) {
    let page = read("docs/alerts.md");
    let sections: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let names: Vec<&str> = alerts.iter().map(|alert| alert["alert"].as_str().expect("a name")).collect();
    assert_eq!(sections, names);
    for (alert, name) in alerts.iter().zip(names) {
        let annotation = |key: &str| alert["annotations"][key].as_str().expect("it has one");
        assert!(!annotation("summary").is_empty() && annotation("description").ends_with('.'), "{name}");
        let section = format!("/docs/alerts.md#{}", name.to_ascii_lowercase());
        assert!(annotation("runbook_url").ends_with(&section), "{name}");
        assert!(matches!(alert["labels"]["severity"].as_str(), Some("critical" | "warning")), "{name}");
    }
}

/// Every expression of the dashboard, with Grafana's own variables set.
fn dashboard() -> Vec<String> {
    fn collect(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("expr").and_then(Value::as_str).map(str::to_owned));
                // `label_values(metric, label)` is Grafana's, and the metric in it is PromQL.
                let values = map.get("definition").and_then(Value::as_str).and_then(|query| {
                    let (selected, label) = query.strip_prefix("label_values(")?.strip_suffix(')')?.rsplit_once(',')?;
                    Some(format!("count by ({label}) ({selected})"))
                });
                found.extend(values);
                map.values().for_each(|value| collect(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| collect(value, found)),
            _ => {}
        }
    }
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/keyferry.json")).expect("JSON");
    let variables = dashboard["templating"]["list"].as_array().expect("variables");
    let names: Vec<_> = variables.iter().map(|variable| variable["name"].as_str().expect("a name")).collect();
    assert_eq!(names, ["datasource", "job", "integration"]);
    let mut found = Vec::new();
    collect(&dashboard, &mut found);
    assert!(found.len() > 30, "{found:?}");
    found.iter().map(|expression| expression.replace("$__rate_interval", "5m")).collect()
}

/// Every expression is PromQL by its own grammar, selects metrics of the page by labels and values that they have, and
/// groups by such labels.
async fn names_what_exists(page: &Metrics, expressions: Vec<String>) {
    let mut values: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for (name, labels) in page.series() {
        let of_it = values.entry(name).or_default();
        for (label, value) in labels {
            of_it.entry(label).or_default().insert(value);
        }
    }
    // Prometheus' own, for each target.
    values.insert("up".to_owned(), BTreeMap::new());
    let mut node = Command::new("node");
    node.arg(peers("promql.mjs"));
    for found in piped(node, &Value::from(expressions).to_string()).await.as_array().expect("a list") {
        let expression = found["expression"].as_str().expect("text");
        assert_eq!(found["ok"], true, "not PromQL: {expression}");
        let mut known: BTreeSet<&str> = OF_TARGETS.into_iter().collect();
        let selects = found["selects"].as_array().expect("a list");
        assert!(!selects.is_empty(), "{expression}");
        for selected in selects {
            let metric = selected["metric"].as_str().expect("a metric");
            let labels = values.get(metric).unwrap_or_else(|| panic!("there is no {metric}: {expression}"));
            known.extend(labels.keys().map(String::as_str));
            known.extend(metric.ends_with("_bucket").then_some("le"));
            for matcher in selected["matchers"].as_array().expect("a list") {
                let [label, operator, value] = [0, 1, 2].map(|at| matcher[at].as_str().expect("text"));
                if OF_TARGETS.contains(&label) {
                    continue;
                }
                let has = labels.get(label).unwrap_or_else(|| panic!("{metric} has no label {label}: {expression}"));
                assert!(operator != "=" || has.contains(value), "{metric} has no {label} {value}: {expression}");
            }
        }
        for label in found["groups"].as_array().expect("a list") {
            assert!(known.contains(label.as_str().expect("text")), "nothing has {label}: {expression}");
        }
    }
}

async fn head_is_the_same_without_a_body(keyferry: &Keyferry) {
    let open_metrics = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
    let head = keyferry.admin_request("HEAD", "/metrics").header("accept", open_metrics).send().await.expect(200);
    assert_eq!(head.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    assert_eq!((head.header("vary"), head.body.len()), (Some("accept"), 0));
    keyferry.admin_request("POST", "/metrics").send().await.expect_problem(405, "method_not_allowed");
}

/// Prometheus' own tool takes the rules and the page, and plays what raises each alert and what raises none.
async fn promtool_agrees(keyferry: &Keyferry) {
    for (command, file) in [("check", "alerts.yaml"), ("test", "alerts.test.yaml")] {
        let mut rules = Command::new("promtool");
        rules.args([command, "rules"]).arg(path(&format!("deploy/prometheus/{file}")));
        succeeds(rules, "").await;
    }
    let page = keyferry.admin_request("GET", "/metrics").send().await.expect(200).text();
    let mut metrics = Command::new("promtool");
    metrics.args(["check", "metrics"]);
    succeeds(metrics, &page).await;
}

async fn piped(command: Command, input: &str) -> Value {
    serde_json::from_str(&succeeds(command, input).await).expect("JSON")
}

async fn succeeds(command: Command, input: &str) -> String {
    let name = format!("{command:?}");
    let mut process = Process::start(&name, command);
    process.stdin().write_all(input.as_bytes()).expect("it reads its input");
    process.close_stdin();
    let status = process.wait(PATIENCE).await;
    assert!(status.success(), "{name}: {}{}", process.stdout(), process.stderr());
    process.stdout()
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}
