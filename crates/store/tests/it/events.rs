//! Events become visible in the order of their numbers, whatever transactions do meanwhile.

use std::time::Duration;

use sqlx::{Connection, Executor, PgConnection};
use tokio::time::timeout;

use crate::{World, ann, release};

const INSERT: &str =
    "INSERT INTO events (event, subject, actor) VALUES ('thing.done', 'thing/1', 'ann') RETURNING id";

#[tokio::test]
async fn whoever_writes_later_becomes_visible_later_even_when_it_began_first() {
    let world = World::new().await;
    let mut first = PgConnection::connect(&world.scratch.app_url()).await.unwrap();
    let mut second = PgConnection::connect(&world.scratch.app_url()).await.unwrap();
    // The first begins first, and does something; the second draws its number first.
    first.execute("BEGIN; SELECT pg_current_xact_id()").await.unwrap();
    second.execute("BEGIN").await.unwrap();
    let early: i64 = sqlx::query_scalar(INSERT).fetch_one(&mut second).await.unwrap();

    let mut waiting = tokio::spawn(async move {
        let late: i64 = sqlx::query_scalar(INSERT).fetch_one(&mut first).await.unwrap();
        first.execute("COMMIT").await.unwrap();
        late
    });
    let waits = timeout(Duration::from_millis(300), &mut waiting).await;
    assert!(waits.is_err(), "it draws its number once the other one is through");
    assert_eq!(world.store.events().newest().await.unwrap(), 0);

    second.execute("COMMIT").await.unwrap();
    let late = waiting.await.unwrap();
    assert!(late > early);
    let seen: Vec<i64> = world.store.events().after(0, 10).await.unwrap().iter().map(|it| it.id).collect();
    assert_eq!(seen, [early, late]);
}

#[tokio::test]
async fn a_follower_who_remembers_the_last_number_misses_nothing_while_many_write_and_some_give_up() {
    let world = World::new().await;
    let writers = 8;
    let each = 15;
    let mut all = Vec::new();
    for writer in 0..writers {
        let url = world.scratch.app_url();
        all.push(tokio::spawn(async move {
            let mut connection = PgConnection::connect(&url).await.unwrap();
            let mut kept = Vec::new();
            for round in 0..each {
                connection.execute("BEGIN").await.unwrap();
                let id: i64 = sqlx::query_scalar(INSERT).fetch_one(&mut connection).await.unwrap();
                // A third is rolled back: its number stays a gap.
                let end = if (writer + round) % 3 == 0 { "ROLLBACK" } else { "COMMIT" };
                connection.execute(end).await.unwrap();
                kept.extend((end == "COMMIT").then_some(id));
            }
            kept
        }));
    }
    let mut followed = Vec::new();
    while all.iter().any(|writer| !writer.is_finished()) {
        let last = followed.last().copied().unwrap_or(0);
        followed.extend(world.store.events().after(last, 3).await.unwrap().iter().map(|it| it.id));
    }
    let mut written = Vec::new();
    for writer in all {
        written.extend(writer.await.unwrap());
    }
    loop {
        let last = followed.last().copied().unwrap_or(0);
        let more = world.store.events().after(last, 100).await.unwrap();
        if more.is_empty() {
            break;
        }
        followed.extend(more.iter().map(|it| it.id));
    }
    written.sort_unstable();
    assert_eq!(followed, written);
}

#[tokio::test]
async fn a_hint_comes_with_a_change_and_the_clock_does_it_otherwise() {
    let world = World::new().await;
    let mut hints = world.store.events().hints();
    // The first one says that it listens from now on.
    hints.wait(Duration::from_secs(20)).await;
    let store = world.store.clone();
    let change = async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        store.releases().record(&release("1.4.0"), None, &ann()).await.unwrap();
    };
    let started = std::time::Instant::now();
    tokio::join!(hints.wait(Duration::from_secs(20)), change);
    assert!(started.elapsed() < Duration::from_secs(10), "the hint, not the clock");
    hints.wait(Duration::from_millis(50)).await;
}

#[tokio::test]
async fn nobody_can_change_what_was_told() {
    let world = World::new().await;
    world.store.releases().record(&release("1.4.0"), None, &ann()).await.unwrap();
    let mut app = PgConnection::connect(&world.scratch.app_url()).await.unwrap();
    let mut refused = Vec::new();
    for sql in [
        "UPDATE events SET actor = 'x'",
        "DELETE FROM events",
        "UPDATE event_horizon SET forgotten_up_to = 0",
        "DELETE FROM idempotency_keys",
        "UPDATE releases SET version = '9.9.9'",
        "DELETE FROM release_images",
        "UPDATE promotions SET asked_by = 'x'",
        "DELETE FROM promotions",
        "UPDATE desired_releases SET generation = 9",
        "DELETE FROM observations",
        "UPDATE idempotency_keys SET subject = 'x'",
        "UPDATE api_tokens SET role = 'operator'",
        "DELETE FROM api_tokens",
    ] {
        let error = app.execute(sql).await.unwrap_err();
        refused.push(error.as_database_error().unwrap().message().to_owned());
    }
    insta::assert_snapshot!(refused.join("\n"), @"
    permission denied for table events
    permission denied for table events
    permission denied for table event_horizon
    permission denied for table idempotency_keys
    permission denied for table releases
    permission denied for table release_images
    permission denied for table promotions
    permission denied for table promotions
    permission denied for table desired_releases
    permission denied for table observations
    permission denied for table idempotency_keys
    permission denied for table api_tokens
    permission denied for table api_tokens
    ");
}
