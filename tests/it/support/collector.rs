//! A receiver of OTLP over HTTP that others wrote: PyPI `oteltap`, which takes protobuf and prints each span as a line of
//! JSON.

use std::{process::Command, time::Duration};

use serde_json::Value;

use super::{Port, peers, process::Process, until};

/// How long spans may be on their way: they gather for a second.
const LIMIT: Duration = Duration::from_secs(20);

/// A running receiver. It ends when this goes.
pub(crate) struct Collector {
    port: Port,
    process: Process,
}

impl Collector {
    /// Starts one.
    pub(crate) async fn start() -> Self {
        let port = Port::reserve();
        let mut command = Command::new(peers(".venv/bin/python"));
        command.args(["-u", "-m", "oteltap", "--port", &port.number().to_string()]);
        let mut process = Process::start("oteltap", command);
        process
            .output("line that says where it listens", Duration::from_secs(30), |process| {
                process.stdout().contains("Listening").then_some(())
            })
            .await;
        Self { port, process }
    }

    /// Its base URL.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.number())
    }

    /// Everything that it has printed.
    pub(crate) fn text(&self) -> String {
        self.process.stdout()
    }

    /// The spans so far, in the order in which they came.
    pub(crate) fn spans(&self) -> Vec<Received> {
        let text = self.process.stdout();
        // A last line without its end is still being written.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let lines = whole.lines().filter(|line| line.starts_with('{'));
        lines.map(|line| Received(serde_json::from_str(line).expect("a line of JSON"))).collect()
    }

    /// Waits for spans of one trace: the span without a parent among them, or with that of somebody else, and all that it
    /// names as children here.
    pub(crate) async fn trace(&self, what: &str, is_call: impl Fn(&Received) -> bool) -> Vec<Received> {
        until(what, LIMIT, || async {
            let spans = self.spans();
            let call = spans.iter().find(|span| span.kind() == SERVER && is_call(span))?;
            Some(spans.iter().filter(|span| span.trace() == call.trace()).cloned().collect())
        })
        .await
    }
}

/// `SPAN_KIND_INTERNAL` and its neighbours, as OTLP numbers them.
pub(crate) const INTERNAL: u64 = 1;
/// A request that was received.
pub(crate) const SERVER: u64 = 2;
/// A request that was sent.
pub(crate) const CLIENT: u64 = 3;

/// A span as it was received.
#[derive(Debug, Clone)]
pub(crate) struct Received(pub(crate) Value);

impl Received {
    pub(crate) fn name(&self) -> &str {
        self.text("name")
    }

    pub(crate) fn kind(&self) -> u64 {
        self.0["kind"].as_u64().unwrap_or(0)
    }

    pub(crate) fn id(&self) -> &str {
        self.text("spanId")
    }

    pub(crate) fn trace(&self) -> &str {
        self.text("traceId")
    }

    pub(crate) fn parent(&self) -> &str {
        self.text("parentSpanId")
    }

    /// Whether its status is an error; everything else is unset.
    pub(crate) fn is_error(&self) -> bool {
        self.0["status"]["code"] == 2
    }

    /// The spans that it is linked to.
    pub(crate) fn links(&self) -> Vec<&str> {
        let links = self.0["links"].as_array().map_or(&[][..], Vec::as_slice);
        links.iter().filter_map(|link| link["spanId"].as_str()).collect()
    }

    /// An attribute, numbers as text; empty when it is not there.
    pub(crate) fn attribute(&self, key: &str) -> String {
        let found = self.attributes().find(|(known, _)| *known == key).map(|(_, value)| value);
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let value = found.and_then(|value| value.as_object()?.values().next());
        value.map(text).unwrap_or_default()
    }

    /// The names of its attributes.
    pub(crate) fn keys(&self) -> Vec<&str> {
        self.attributes().map(|(key, _)| key).collect()
    }

    fn attributes(&self) -> impl Iterator<Item = (&str, &Value)> {
        let attributes = self.0["attributes"].as_array().map_or(&[][..], Vec::as_slice);
        attributes.iter().filter_map(|one| Some((one["key"].as_str()?, &one["value"])))
    }

    fn text(&self, key: &str) -> &str {
        self.0[key].as_str().unwrap_or_default()
    }
}
