//! `/v1/events`.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use service::testing::until_status;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::lifecycle::Door;
use crate::{ANN, VIC, World, release, told};

/// No line takes longer.
const DEADLINE: Duration = Duration::from_secs(20);

/// One who follows, over a connection of its own.
struct Follower {
    lines: Lines<BufReader<TcpStream>>,
    status: String,
}

impl World {
    /// Follows from now on, or behind an event.
    async fn follows(&self, after: Option<i64>) -> Follower {
        let mut request = Request::get("/v1/events").header("host", "control");
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        let request = self.gateway.says(request.body(Body::empty()).unwrap(), VIC.0, VIC.1);
        let mut stream = TcpStream::connect(self.control.address()).await.unwrap();
        let mut head = "GET /v1/events HTTP/1.1\r\n".to_owned();
        for (name, value) in request.headers() {
            head += &format!("{name}: {}\r\n", value.to_str().unwrap());
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).await.unwrap();
        let mut lines = BufReader::new(stream).lines();
        let status = timeout(DEADLINE, lines.next_line()).await.unwrap().unwrap().unwrap();
        Follower { lines, status }
    }
}

impl Follower {
    /// The next line that begins so, without its beginning; `None` at the stream's end.
    async fn next(&mut self, beginning: &str) -> Option<String> {
        let mut found = None;
        while found.is_none() {
            let line =
                timeout(DEADLINE, self.lines.next_line()).await.expect("a line comes in time").ok()??;
            found = line.strip_prefix(beginning).map(str::to_owned);
        }
        found
    }

    /// The number of the next event, or of where the stream stands.
    async fn id(&mut self) -> i64 {
        self.next("id: ").await.expect("the stream goes on").parse().unwrap()
    }
}

#[tokio::test]
async fn a_follower_hears_of_each_change_once_and_in_order() {
    let world = World::new().await;
    world.records("1.0.0").await;
    let mut follower = world.follows(None).await;
    assert!(follower.status.contains("200"), "{}", follower.status);
    let stands = follower.id().await;
    world.records("1.1.0").await;
    world.puts("staging", &serde_json::json!({ "services": ["gateway"] })).await;
    world.post(ANN, "/v1/environments/staging/promotions", &serde_json::json!({ "release": "1.1.0" })).await;
    let mut names = Vec::new();
    let mut last = stands;
    while names.len() < 5 {
        let id = follower.id().await;
        assert!(id > last);
        last = id;
        names.push(follower.next("event: ").await.unwrap());
    }
    assert_eq!(
        names,
        [
            "release.recorded",
            "environment.created",
            "promotion.asked",
            "promotion.approved",
            "environment.desired_changed"
        ]
    );
    // Who comes back goes on where it was, and who was never there may begin with the first.
    let mut again = world.follows(Some(stands)).await;
    assert_eq!(again.id().await, stands);
    let data = again.next("data: ").await.unwrap();
    let event: api::Event = serde_json::from_str(&data).unwrap();
    assert_eq!((event.event.as_str(), event.actor.as_str()), ("release.recorded", "ann"));
    assert_eq!(event.details["version"], "1.1.0");
    let mut first = world.follows(Some(0)).await;
    assert_eq!(first.id().await, 0);
    assert!(first.id().await <= stands);

    let unknown = Request::get("/v1/events").header("last-event-id", "4711").body(Body::empty()).unwrap();
    let refused = world.ask(VIC, unknown).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.json()["errors"][0]["pointer"]),
        (422, &"/last-event-id".into())
    );
}

#[tokio::test]
async fn who_comes_back_after_events_were_forgotten_is_told_so_and_who_missed_none_goes_on() {
    let world = World::new().await;
    world.records("1.0.0").await;
    world.records("1.1.0").await;
    let mut admin = PgConnection::connect(&world.scratch.admin_url()).await.unwrap();
    admin.execute("UPDATE events SET at = now() - interval '8 days'").await.unwrap();
    let newest: i64 = sqlx::query_scalar("SELECT max(id) FROM events").fetch_one(&mut admin).await.unwrap();
    admin.execute("SELECT forget_events(7, 100)").await.unwrap();

    let behind = async |after: i64| {
        let request = Request::get("/v1/events").header("last-event-id", after).body(Body::empty()).unwrap();
        told(&world.ask(VIC, request).await).replace(&newest.to_string(), "NEWEST")
    };
    insta::assert_snapshot!(behind(newest - 1).await, @r#"410 {"code":"events_forgotten","detail":"the events up to `NEWEST` are forgotten: read the lists anew, then follow from now on"}"#);
    assert!(behind(0).await.starts_with("410 "), "also for who begins with the first one");
    let mut follower = world.follows(Some(newest)).await;
    assert_eq!(follower.id().await, newest);
    world.records("1.2.0").await;
    assert!(follower.id().await > newest);
}

#[tokio::test]
async fn a_follower_who_does_not_read_costs_a_place_and_delays_nobody() {
    let world = World::with(&[("EVENT_FOLLOWERS_MAX", "2")]).await;
    let _deaf = world.follows(None).await;
    let mut other = world.follows(None).await;
    other.id().await;
    let refused = world.get("/v1/events").await;
    insta::assert_snapshot!(told(&refused), @r#"503 {"code":"too_many_followers","detail":"as many clients follow changes as may; try again later"}"#);
    assert_eq!(refused.headers["retry-after"], "2");
    for patch in 0..150 {
        world.records(&format!("1.0.{patch}")).await;
    }
    for _ in 0..150 {
        other.id().await;
    }
    drop(other);
    // Its place is free again once the connection's end has been noticed.
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while !world.follows(None).await.status.contains("200") {
        assert!(tokio::time::Instant::now() < deadline, "the place stays taken");
        world.post(ANN, "/v1/releases", &release("2.0.0")).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_stream_outlives_the_loss_of_the_database_and_goes_on_where_it_was() {
    let world = World::with(&[("DATABASE_ACQUIRE_TIMEOUT_MS", "500")]).await;
    let mut follower = world.follows(None).await;
    let stands = follower.id().await;
    world.records("1.0.0").await;
    let first = follower.id().await;
    assert!(first > stands);
    let mut door = Door::of(&world.scratch).await;
    door.close().await;
    assert_eq!(world.records("1.1.0").await.status.as_u16(), 503);
    door.open().await;
    until_status(201, || world.records("1.2.0")).await;
    assert!(follower.id().await > first);
    let data = follower.next("data: ").await.unwrap();
    assert!(data.contains(r#""version":"1.2.0""#), "{data}");
}

#[tokio::test]
async fn a_stream_without_news_shows_that_it_stands_and_ends_when_the_service_stops() {
    let world = World::with(&[("EVENT_HEARTBEAT_MS", "100")]).await;
    let mut follower = world.follows(None).await;
    follower.id().await;
    while follower.next(": ").await.unwrap() != "heartbeat" {}
    let stopped = tokio::time::Instant::now();
    let World { control, scratch: _scratch, .. } = world;
    control.terminate();
    while follower.next("").await.is_some() {}
    let finished = control.finished().await;
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    // Well before the grace of 10 s.
    assert!(stopped.elapsed() < Duration::from_secs(5));
}
