//! Which format whoever asks wants, by `Accept` (RFC 9110 section 12.5.1).

use http::HeaderMap;
use http::header::ACCEPT;

use super::exposition::Format;

impl Format {
    /// OpenMetrics for whoever names it and prefers nothing to it; the text format for everybody else, who may be a
    /// person with a browser. What cannot be read is nobody's wish.
    pub(super) fn wanted(headers: &HeaderMap) -> Self {
        let fields = headers.get_all(ACCEPT).iter().filter_map(|field| field.to_str().ok());
        let ranges = fields.flat_map(|field| field.split(',')).filter_map(Range::parse);
        let (mut open_metrics, mut text, mut anything) = (None, None, None);
        for range in ranges {
            let wish = match (range.media_type.as_str(), range.version) {
                ("application/openmetrics-text", None | Some("1.0.0")) => &mut open_metrics,
                ("text/plain", None | Some("0.0.4")) | ("text/*", None) => &mut text,
                ("*/*", _) => &mut anything,
                // Other versions of both, and Prometheus' protobuf.
                _ => continue,
            };
            *wish = Some(wish.map_or(range.quality, |best: u16| best.max(range.quality)));
        }
        match (open_metrics, text.or(anything).unwrap_or(0)) {
            (Some(open_metrics), text) if open_metrics > 0 && open_metrics >= text => Self::OpenMetrics,
            _ => Self::Text,
        }
    }
}

/// One element of the list.
struct Range<'a> {
    /// In lower case, without parameters.
    media_type: String,
    version: Option<&'a str>,
    /// In thousandths.
    quality: u16,
}

impl<'a> Range<'a> {
    /// `None` when its quality is none.
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let mut range =
            Self { media_type: parts.next().unwrap_or_default().to_ascii_lowercase(), version: None, quality: 1000 };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            let value = value.trim().trim_matches('"');
            match name.trim() {
                name if name.eq_ignore_ascii_case("version") => range.version = Some(value),
                name if name.eq_ignore_ascii_case("q") => range.quality = thousandths(value)?,
                // `charset`, and `escaping`, which our names need none of.
                _ => {}
            }
        }
        Some(range)
    }
}

/// `0.5` as 500 (RFC 9110 section 12.4.2).
fn thousandths(quality: &str) -> Option<u16> {
    let quality: f32 = quality.parse().ok()?;
    // Between 0 and 1000, so nothing is lost.
    (0.0..=1.0).contains(&quality).then(|| (quality * 1000.0).round() as u16)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn formats() {
        fn check(accept: &[&'static str], expected: Format) {
            let headers = accept.iter().map(|field| (ACCEPT, HeaderValue::from_static(field))).collect();
            assert_eq!(Format::wanted(&headers), expected, "{accept:?}");
        }
        use Format::{OpenMetrics, Text};
        // Prometheus 3, 2.49, 2.42 and 2.0.
        check(
            &[
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            ],
            OpenMetrics,
        );
        check(
            &[
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.5,application/openmetrics-text;version=1.0.0;q=0.4,application/openmetrics-text;version=0.0.1;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
            ],
            OpenMetrics,
        );
        check(
            &[
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            ],
            OpenMetrics,
        );
        check(&["text/plain;version=0.0.4;q=1,*/*;q=0.1"], Text);
        // curl, a browser, nobody.
        check(&["*/*"], Text);
        check(&["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], Text);
        check(&[], Text);
        check(&["application/openmetrics-text"], OpenMetrics);
        check(&["Application/OpenMetrics-Text; Version=\"1.0.0\"; charset=utf-8"], OpenMetrics);
        check(&["text/plain", "application/openmetrics-text;q=0.9"], Text);
        check(&["application/openmetrics-text;q=0.9, */*"], Text);
        check(&["application/openmetrics-text;q=0.9, text/*;q=0.1, */*"], OpenMetrics);
        check(&["application/openmetrics-text;q=0, text/plain;q=0"], Text);
        // Another version, and what is no quality.
        check(&["application/openmetrics-text;version=0.0.1"], Text);
        check(&["application/openmetrics-text;q=2"], Text);
        check(&["application/openmetrics-text;q=NaN"], Text);
        check(&[";;,,=", "application/*;q=1"], Text);
    }
}
