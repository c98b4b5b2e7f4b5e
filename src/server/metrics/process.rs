//! The process: what was built, by which configuration it runs, and what it takes of the machine. The names without our
//! prefix are those of every Prometheus client library; what a system does not tell is left out.

use std::fs;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::exposition::Exposition;
use crate::model::Timestamp;
use crate::server::reload::ReloadCounts;
use crate::telemetry::{Logs, trace};

pub(super) fn build(page: &mut Exposition) {
    let labels = [
        ("version", env!("CARGO_PKG_VERSION")),
        // Set by whoever builds from a repository; a build from an archive knows none.
        ("revision", option_env!("KEYFERRY_REVISION").unwrap_or("unknown")),
        ("rustc", env!("KEYFERRY_RUSTC")),
    ];
    page.info("keyferry_build", "The version that runs, and what it was built from and with; always 1.")
        .sample(&labels, 1);
}

pub(super) fn configuration(page: &mut Exposition, reloads: ReloadCounts) {
    let doc = "Looks at a configuration that may have changed, and what came of them.";
    let mut samples = page.counter("keyferry_config_reloads", doc);
    let counts = [("reloaded", reloads.changed), ("unchanged", reloads.unchanged), ("refused", reloads.refused)];
    for (outcome, count) in counts {
        samples.sample(&[("outcome", outcome)], count);
    }
    let doc = "When the configuration in the files was last read and found good, in seconds since the epoch.";
    page.gauge("keyferry_config_last_good_timestamp_seconds", doc).sample(&[], reloads.good_at);
    let doc = "Whether the configuration in the files has mistakes, so that the one before it is in force: 1, or 0.";
    page.gauge("keyferry_config_refused", doc).sample(&[], u8::from(reloads.is_refused));
}

pub(super) fn log(page: &mut Exposition, logs: Option<&Logs>) {
    let doc = "Log lines that nobody read in time, those of calls first, or that standard error did not take.";
    page.counter("keyferry_log_dropped", doc).sample(&[], logs.map_or(0, Logs::left_out));
    let doc = "Audit events that their file did not take; the log has them.";
    page.counter("keyferry_audit_errors", doc).sample(&[], logs.map_or(0, Logs::audit_errors));
}

pub(super) fn spans(page: &mut Exposition, spans: &trace::Counts) {
    page.counter("keyferry_spans_exported", "Spans that the collector took.").sample(&[], spans.exported());
    let doc = "Spans that found no room in the queue, or that the collector did not take.";
    page.counter("keyferry_spans_dropped", doc).sample(&[], spans.dropped());
}

pub(super) fn usage(page: &mut Exposition, started_at: Timestamp) {
    let doc = "When the process started, in seconds since the epoch.";
    page.gauge("process_start_time_seconds", doc).sample(&[], started_at.unix_millis() / 1000);
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    let doc = "Processor time that the process has used, of user and system.";
    let seconds = spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9;
    page.counter("process_cpu_seconds", doc).sample(&[], seconds);
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for (key, name, doc) in [
        ("VmRSS:", "process_resident_memory_bytes", "Memory that the process occupies."),
        ("VmSize:", "process_virtual_memory_bytes", "Address space that the process has reserved."),
    ] {
        if let Some(kibibytes) = kibibytes(&status, key) {
            page.gauge(name, doc).sample(&[], kibibytes * 1024);
        }
    }
    // One of them is the folder that is read.
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        page.gauge("process_open_fds", "Open file descriptors.").sample(&[], files.count().saturating_sub(1));
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        page.gauge("process_max_fds", "Most file descriptors that may be open.").sample(&[], most);
    }
}

/// A line of proc_pid_status(5): the key, white space, and `9876 kB`.
fn kibibytes(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_status() {
        fn check(status: &str, expected: Option<u64>) {
            assert_eq!(kibibytes(status, "VmRSS:"), expected, "{status:?}");
        }
        check("VmSize:\t  99 kB\nVmRSS:\t    9876 kB\n", Some(9876));
        check("VmRSS:\tmany kB\n", None);
        check("VmRSS:\t1 MB\n", None);
        check("", None);
    }
}
