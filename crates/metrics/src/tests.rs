//! What Prometheus would read.

use std::time::Duration;

use super::*;

#[test]
fn counters_gauges_and_histograms_are_told_with_their_labels() {
    let metrics = Metrics::new();
    let finished = metrics.counter("jobs_finished", "Jobs that ended.", ["kind", "outcome"]);
    finished.inc(["verify", "done"]);
    finished.add(["verify", "done"], 0);
    let running = metrics.gauge("jobs_running", "Jobs that run.", []);
    running.set([], 3.0);
    running.add([], -1.0);
    let took = metrics.histogram("job_duration_seconds", "How long jobs ran.", ["kind"], &[0.1, 2.0]);
    took.observe(["verify"], Duration::from_millis(100));
    took.observe(["verify"], Duration::from_secs(1));
    let idle = || vec![(["idle".into()], 2.0), (["used".into()], 1.0)];
    metrics.read_gauge("pool_connections", "Connections.", ["state"], idle);
    metrics.read_counter("cpu_seconds", "CPU.", [], || vec![([], 1.5)]);
    insta::assert_snapshot!(metrics.encode(), @r#"
    # HELP metrics_series_overflow Observations counted under `other` because their family has no room for another label set.
    # TYPE metrics_series_overflow counter
    metrics_series_overflow_total 0
    # HELP jobs_finished Jobs that ended.
    # TYPE jobs_finished counter
    jobs_finished_total{kind="verify",outcome="done"} 1
    # HELP jobs_running Jobs that run.
    # TYPE jobs_running gauge
    jobs_running{} 2.0
    # HELP job_duration_seconds How long jobs ran.
    # TYPE job_duration_seconds histogram
    job_duration_seconds_sum{kind="verify"} 1.1
    job_duration_seconds_count{kind="verify"} 2
    job_duration_seconds_bucket{le="0.1",kind="verify"} 1
    job_duration_seconds_bucket{le="2.0",kind="verify"} 2
    job_duration_seconds_bucket{le="+Inf",kind="verify"} 2
    # HELP pool_connections Connections.
    # TYPE pool_connections gauge
    pool_connections{state="idle"} 2.0
    pool_connections{state="used"} 1.0
    # HELP cpu_seconds CPU.
    # TYPE cpu_seconds counter
    cpu_seconds_total{} 1.5
    # EOF
    "#);
}

#[test]
fn a_name_that_is_registered_twice_is_the_same_figure() {
    let metrics = Metrics::new();
    metrics.counter("hits", "Hits.", ["page"]).inc(["home"]);
    metrics.clone().counter("hits", "Hits.", ["page"]).inc(["home"]);
    // Another kind under the same name is not shown, and breaks nothing.
    metrics.gauge("hits", "Hits.", ["page"]).set(["home"], 7.0);
    let text = metrics.encode();
    assert_eq!(text.matches("hits_total").count(), 1, "{text}");
    assert!(text.contains(r#"hits_total{page="home"} 2"#), "{text}");
}

#[test]
fn a_family_stops_growing_and_says_so() {
    let metrics = Metrics::new();
    let hits = metrics.counter("hits", "Hits.", ["page"]);
    for page in 0..2 * SERIES_MAX {
        hits.inc([&page.to_string()]);
    }
    hits.inc(["0"]);
    let text = metrics.encode();
    assert_eq!(text.matches("hits_total{").count(), SERIES_MAX);
    assert!(text.contains(r#"hits_total{page="0"} 2"#), "what is known goes on");
    let (rest, overflow) = (SERIES_MAX + 1, format!("metrics_series_overflow_total {}", SERIES_MAX + 1));
    assert!(text.contains(&format!(r#"hits_total{{page="other"}} {rest}"#)), "{text}");
    assert!(text.contains(&overflow), "{text}");
}

#[test]
fn a_label_cannot_break_out_of_its_quotes() {
    let metrics = Metrics::new();
    metrics.counter("hits", "Hits.", ["page"]).inc(["a\"} 9\nforged 1"]);
    assert!(metrics.encode().contains(r#"hits_total{page="a\"} 9\nforged 1"} 1"#), "{}", metrics.encode());
}
