//! Metrics as text: OpenMetrics, or the older text format of Prometheus, which
//! node_exporter's textfile collector reads (prometheus.io, exposition formats).
//!
//! Owns that a label's value cannot end its line or its quotes, and that no two samples of a
//! metric have the same labels.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Which of the two formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetricFormat {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus' text format 0.0.4. It calls a counter by the name of its samples.
    Prometheus,
}

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetricKind {
    Counter,
    Gauge,
}

/// A metric with its samples: labels as `NAME="VALUE"`, and the value.
#[derive(Debug)]
pub(crate) struct Metric {
    name: &'static str,
    help: &'static str,
    kind: MetricKind,
    samples: BTreeMap<String, u64>,
}

/// The labels of a sample.
pub(crate) type Labels<'a> = &'a [(&'a str, &'a str)];

impl Metric {
    /// A value that may go up and down.
    pub(crate) fn gauge(name: &'static str, help: &'static str) -> Metric {
        let kind = MetricKind::Gauge;
        Metric {
            name,
            help,
            kind,
            samples: BTreeMap::new(),
        }
    }

    /// A value that only goes up; its samples are called NAME_total.
    pub(crate) fn counter(name: &'static str, help: &'static str) -> Metric {
        Metric {
            kind: MetricKind::Counter,
            ..Metric::gauge(name, help)
        }
    }

    /// Adds a sample; to one with the same labels it adds the value.
    pub(crate) fn add(&mut self, labels: Labels<'_>, value: u64) {
        let mut text = String::new();
        for (name, value) in labels {
            let comma = if text.is_empty() { "" } else { "," };
            let _ = write!(text, "{comma}{name}=\"");
            for c in value.chars() {
                match c {
                    '\\' | '"' => text.extend(['\\', c]),
                    // A line feed could be written as \n; other control characters only as
                    // they are.
                    c if c.is_control() => text.push('?'),
                    c => text.push(c),
                }
            }
            text.push('"');
        }
        let sum = self.samples.entry(text).or_default();
        *sum = sum.saturating_add(value);
    }

    /// With one more sample.
    pub(crate) fn with(mut self, labels: Labels<'_>, value: u64) -> Metric {
        self.add(labels, value);
        self
    }
}

/// The text of metrics; those without a sample are left out.
pub(crate) fn metric_text(metrics: &[Metric], format: MetricFormat) -> String {
    let mut text = String::new();
    for metric in metrics.iter().filter(|metric| !metric.samples.is_empty()) {
        let (name, help) = (metric.name, metric.help);
        let (kind, suffix) = match metric.kind {
            MetricKind::Counter => ("counter", "_total"),
            MetricKind::Gauge => ("gauge", ""),
        };
        let called = match format {
            MetricFormat::OpenMetrics => "",
            MetricFormat::Prometheus => suffix,
        };
        let _ = writeln!(text, "# HELP {name}{called} {help}");
        let _ = writeln!(text, "# TYPE {name}{called} {kind}");
        for (labels, value) in &metric.samples {
            let _ = match labels.is_empty() {
                true => writeln!(text, "{name}{suffix} {value}"),
                false => writeln!(text, "{name}{suffix}{{{labels}}} {value}"),
            };
        }
    }
    if format == MetricFormat::OpenMetrics {
        text += "# EOF\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stays_in_its_quotes_and_labels_are_one_each() {
        let mut metric = Metric::counter("camfw_tried", "Tries.");
        metric.add(&[("who", "a\"} 9\n\\x\u{1b}"), ("zone", "b")], 1);
        metric.add(&[("who", "a\"} 9\n\\x\u{1b}"), ("zone", "b")], 2);
        let metrics = [
            metric,
            Metric::gauge("camfw_none", "None."),
            Metric::gauge("camfw_one", "One.").with(&[], 7),
        ];
        let sample = "camfw_tried_total{who=\"a\\\"} 9?\\\\x?\",zone=\"b\"} 3\n";
        let one = "# HELP camfw_one One.\n# TYPE camfw_one gauge\ncamfw_one 7\n";
        assert_eq!(
            metric_text(&metrics, MetricFormat::OpenMetrics),
            format!("# HELP camfw_tried Tries.\n# TYPE camfw_tried counter\n{sample}{one}# EOF\n")
        );
        assert_eq!(
            metric_text(&metrics, MetricFormat::Prometheus),
            format!(
                "# HELP camfw_tried_total Tries.\n# TYPE camfw_tried_total counter\n{sample}{one}"
            )
        );
    }
}
