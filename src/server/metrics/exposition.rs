//! The two formats that a page of metrics is written in: Prometheus' text format 0.0.4 and OpenMetrics 1.0.0. They
//! differ in how counters are announced, in units, in what build information is, and in the end.

use std::fmt::{Display, Write as _};

use crate::telemetry::metric::Distribution;

/// How a page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Prometheus' own, version 0.0.4.
    Text,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Format {
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// A page that is being written, family by family.
pub(super) struct Exposition {
    format: Format,
    page: String,
}

/// Labels of a sample. Their names need no escaping, their values get it.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

/// A family's samples; all of them come before the next family.
pub(super) struct Samples<'a> {
    exposition: &'a mut Exposition,
    /// With the suffix that samples of its kind have.
    name: String,
}

/// A histogram's samples.
pub(super) struct Spreads<'a>(Samples<'a>);

impl Exposition {
    pub(super) fn new(format: Format) -> Self {
        Self { format, page: String::with_capacity(32 * 1024) }
    }

    /// `name` is without `_total`, which is the samples' suffix.
    pub(super) fn counter(&mut self, name: &str, help: &str) -> Samples<'_> {
        let total = format!("{name}_total");
        match self.format {
            Format::Text => self.announce(&total, "counter", help),
            Format::OpenMetrics => self.announce(name, "counter", help),
        }
        Samples { exposition: self, name: total }
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str) -> Samples<'_> {
        self.announce(name, "gauge", help);
        Samples { exposition: self, name: name.to_owned() }
    }

    /// `name` is without `_info`, which is the sample's suffix.
    pub(super) fn info(&mut self, name: &str, help: &str) -> Samples<'_> {
        let info = format!("{name}_info");
        match self.format {
            Format::Text => self.announce(&info, "gauge", help),
            Format::OpenMetrics => self.announce(name, "info", help),
        }
        Samples { exposition: self, name: info }
    }

    pub(super) fn histogram(&mut self, name: &str, help: &str) -> Spreads<'_> {
        self.announce(name, "histogram", help);
        Spreads(Samples { exposition: self, name: name.to_owned() })
    }

    /// The whole page.
    pub(super) fn end(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.page.push_str("# EOF\n");
        }
        self.page
    }

    /// The lines before a family's samples. The help is ours and holds nothing to escape.
    fn announce(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string does not fail.
        let _ = write!(self.page, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        let unit = ["seconds", "bytes"].into_iter().find(|unit| name.ends_with(unit));
        if let (Format::OpenMetrics, Some(unit)) = (self.format, unit) {
            let _ = writeln!(self.page, "# UNIT {name} {unit}");
        }
    }

    fn line(&mut self, name: [&str; 2], labels: Labels<'_>, bound: Option<&str>, value: impl Display) {
        name.into_iter().for_each(|part| self.page.push_str(part));
        let all = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
        let mut before = "{";
        for (label, value) in all {
            let _ = write!(self.page, "{before}{label}=\"");
            self.escaped(value);
            self.page.push('"');
            before = ",";
        }
        let end = if before == "{" { "" } else { "}" };
        let _ = writeln!(self.page, "{end} {value}");
    }

    fn escaped(&mut self, value: &str) {
        for character in value.chars() {
            match character {
                '\\' => self.page.push_str("\\\\"),
                '"' => self.page.push_str("\\\""),
                '\n' => self.page.push_str("\\n"),
                other => self.page.push(other),
            }
        }
    }
}

impl Samples<'_> {
    pub(super) fn sample(&mut self, labels: Labels<'_>, value: impl Display) {
        self.exposition.line([&self.name, ""], labels, None, value);
    }
}

impl Spreads<'_> {
    /// Buckets that count all below, sum and count.
    pub(super) fn sample(&mut self, labels: Labels<'_>, one: &Distribution) {
        let Samples { exposition, name } = &mut self.0;
        for (bound, count) in &one.at_most {
            // OpenMetrics wants a whole number to be `1.0`, and series are to be the same in both formats.
            let bound = format!("{:?}", bound.as_secs_f64());
            exposition.line([name, "_bucket"], labels, Some(&bound), count);
        }
        exposition.line([name, "_bucket"], labels, Some("+Inf"), one.count);
        exposition.line([name, "_sum"], labels, None, one.sum.as_secs_f64());
        exposition.line([name, "_count"], labels, None, one.count);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn page(format: Format) -> String {
        let mut page = Exposition::new(format);
        page.counter("waited_seconds", "Waiting.").sample(&[("a", "\"\\\n"), ("b", "d-e")], 1.25);
        page.gauge("open", "Open ones.").sample(&[], 3);
        page.info("build", "What it is.").sample(&[("version", "1")], 1);
        let one = Distribution {
            at_most: vec![(Duration::from_micros(2500), 1), (Duration::from_secs(1), 2)],
            count: 3,
            sum: Duration::from_millis(61_500),
        };
        page.histogram("took_seconds", "How long.").sample(&[("a", "b")], &one);
        page.end()
    }

    #[test]
    fn both_formats() {
        let samples = |name: &str| match name {
            "waited" => "waited_seconds_total{a=\"\\\"\\\\\\n\",b=\"d-e\"} 1.25\n",
            "open" => "open 3\n",
            "build" => "build_info{version=\"1\"} 1\n",
            _ => {
                "took_seconds_bucket{a=\"b\",le=\"0.0025\"} 1\ntook_seconds_bucket{a=\"b\",le=\"1.0\"} 2\n\
                 took_seconds_bucket{a=\"b\",le=\"+Inf\"} 3\ntook_seconds_sum{a=\"b\"} 61.5\n\
                 took_seconds_count{a=\"b\"} 3\n"
            }
        };
        let [waited, open, build, took] = ["waited", "open", "build", "took"].map(samples);
        let text = format!(
            "# HELP waited_seconds_total Waiting.\n# TYPE waited_seconds_total counter\n{waited}\
             # HELP open Open ones.\n# TYPE open gauge\n{open}\
             # HELP build_info What it is.\n# TYPE build_info gauge\n{build}\
             # HELP took_seconds How long.\n# TYPE took_seconds histogram\n{took}"
        );
        assert_eq!(page(Format::Text), text);
        let open_metrics = format!(
            "# HELP waited_seconds Waiting.\n# TYPE waited_seconds counter\n# UNIT waited_seconds seconds\n{waited}\
             # HELP open Open ones.\n# TYPE open gauge\n{open}\
             # HELP build What it is.\n# TYPE build info\n{build}\
             # HELP took_seconds How long.\n# TYPE took_seconds histogram\n# UNIT took_seconds seconds\n{took}# EOF\n"
        );
        assert_eq!(page(Format::OpenMetrics), open_metrics);
    }
}
