//! `GET /metrics`, read by the parsers of PyPI's `prometheus_client`.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
    time::Duration,
};

use serde_json::Value;

use super::{Keyferry, peers, process::Process};

/// The metrics of a moment.
pub(crate) struct Metrics(Value);

impl Metrics {
    /// Asks for them in the text format and has them parsed.
    pub(crate) async fn of(keyferry: &Keyferry) -> Self {
        Self::parsed(keyferry, &[]).await
    }

    /// The same in OpenMetrics.
    pub(crate) async fn in_open_metrics(keyferry: &Keyferry) -> Self {
        Self::parsed(keyferry, &["openmetrics"]).await
    }

    async fn parsed(keyferry: &Keyferry, format: &[&str]) -> Self {
        let mut command = Command::new(peers(".venv/bin/python"));
        command.arg(peers("prometheus.py")).arg(format!("http://{}/metrics", keyferry.admin())).args(format);
        let mut process = Process::start("prometheus.py", command);
        process.close_stdin();
        let status = process.wait(Duration::from_secs(60)).await;
        assert!(status.success(), "{}{}", process.stdout(), process.stderr());
        Self(serde_json::from_str(&process.stdout()).expect("the script prints JSON"))
    }

    /// The content type that they came with.
    pub(crate) fn content_type(&self) -> &str {
        self.0["content_type"].as_str().expect("a content type")
    }

    /// Each family's name, type and help.
    pub(crate) fn families(&self) -> Vec<(&str, &str, &str)> {
        let families = self.0["families"].as_array().expect("families");
        families.iter().map(|family| (word(family, "name"), word(family, "type"), word(family, "help"))).collect()
    }

    /// Each series, as its name and labels without the bound of a bucket.
    pub(crate) fn series(&self) -> BTreeSet<(String, BTreeMap<String, String>)> {
        let families = self.0["families"].as_array().expect("families");
        let samples = families.iter().flat_map(|family| family["samples"].as_array().expect("samples"));
        samples
            .map(|sample| {
                let mut labels: BTreeMap<String, String> = serde_json::from_value(sample[1].clone()).expect("labels");
                labels.remove("le");
                (sample[0].as_str().expect("a name").to_owned(), labels)
            })
            .collect()
    }

    /// The value of the one sample with that name and exactly those labels; panics when there is none.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let families = self.0["families"].as_array().expect("families");
        let samples = families.iter().flat_map(|family| family["samples"].as_array().expect("samples"));
        let labels: Value = labels.iter().copied().collect();
        let found: Vec<_> = samples.filter(|sample| sample[0] == name && sample[1] == labels).collect();
        let [sample] = found[..] else { panic!("{} samples of {name} {labels} in {}", found.len(), self.0) };
        sample[2].as_f64().expect("a number")
    }
}

fn word<'a>(family: &'a Value, key: &str) -> &'a str {
    family[key].as_str().expect("text")
}
