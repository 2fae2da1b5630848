//! What the system says about this process, under the names that Prometheus' own clients use.

use std::time::{SystemTime, UNIX_EPOCH};

use metrics::Metrics;

/// Clock ticks per second in `/proc/self/stat`: the same on every architecture of Linux that Rust has a standard library for.
const TICKS_PER_SECOND: f64 = 100.0;

/// Registers the process's figures, and which program it is.
pub(crate) fn register(metrics: &Metrics, service: &'static str, version: &'static str) {
    let build = move || vec![([service.into(), version.into()], 1.0)];
    metrics.read_gauge("build_info", "Which program runs.", ["service", "version"], build);

    let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    let since = move || vec![([], started)];
    metrics.read_gauge("process_start_time_seconds", "When it started, in Unix time.", [], since);
    let cpu = || figure(cpu_seconds());
    metrics.read_counter("process_cpu_seconds", "CPU time in user and system mode.", [], cpu);
    let resident = || figure(status("VmRSS:").map(|kib| kib * 1024.0));
    metrics.read_gauge("process_resident_memory_bytes", "Memory in use.", [], resident);
    let size = || figure(status("VmSize:").map(|kib| kib * 1024.0));
    metrics.read_gauge("process_virtual_memory_bytes", "Memory that is mapped.", [], size);
    metrics.read_gauge("process_threads", "Threads.", [], || figure(status("Threads:")));
    let open = || figure(std::fs::read_dir("/proc/self/fd").ok().map(|fds| whole(fds.count())));
    metrics.read_gauge("process_open_fds", "Open file descriptors.", [], open);
    let most = || figure(descriptors_max());
    metrics.read_gauge("process_max_fds", "How many file descriptors it may open.", [], most);
}

/// A figure that the system may not tell: then it is left out.
fn figure(told: Option<f64>) -> Vec<metrics::Reading<0>> {
    told.map(|figure| ([], figure)).into_iter().collect()
}

fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The program's name comes second, in parentheses, and may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / TICKS_PER_SECOND)
}

fn status(name: &str) -> Option<f64> {
    number_in("/proc/self/status", name)
}

fn descriptors_max() -> Option<f64> {
    number_in("/proc/self/limits", "Max open files")
}

/// The first number of the line that begins so.
fn number_in(file: &str, begins: &str) -> Option<f64> {
    let text = std::fs::read_to_string(file).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(begins))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[expect(clippy::cast_precision_loss, reason = "a figure for a panel")]
fn whole(count: usize) -> f64 {
    count as f64
}
