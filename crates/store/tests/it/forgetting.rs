//! Events and keys are forgotten after a while, the oldest first, and whoever missed some is told so.

use sqlx::{Connection, Executor, PgConnection};
use store::audit::Filter;
use store::{Error, Key, Novelty, PageSize};

use crate::{World, ann, release};

impl World {
    /// Makes what is recorded so many days older.
    async fn ages(&self, days: u16) {
        let mut admin = PgConnection::connect(&self.scratch.admin_url()).await.unwrap();
        for sql in [
            "UPDATE events SET at = at - make_interval(days => $1)",
            "UPDATE idempotency_keys SET created_at = created_at - make_interval(days => $1)",
        ] {
            sqlx::query(sql).bind(i32::from(days)).execute(&mut admin).await.unwrap();
        }
    }

    async fn records(&self, version: &str, key: Option<&Key>) -> Novelty {
        self.store.releases().record(&release(version), key, &ann()).await.unwrap().novelty
    }

    /// The numbers of the events behind one, or the last one that is forgotten of them.
    async fn follows(&self, after: i64) -> Result<Vec<i64>, i64> {
        match self.store.events().after(after, 100).await {
            Ok(events) => Ok(events.iter().map(|event| event.id).collect()),
            Err(Error::Forgotten { up_to }) => Err(up_to),
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn the_oldest_events_are_forgotten_in_batches_and_who_missed_some_is_told_so() {
    let world = World::new().await;
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        world.records(version, None).await;
    }
    world.ages(100).await;
    world.records("1.3.0", None).await;
    let all = world.follows(0).await.unwrap();
    let events = world.store.events();

    assert_eq!(events.forget(90, 2).await.unwrap(), 2);
    assert_eq!(world.follows(0).await, Err(all[1]));
    assert_eq!(world.follows(all[0]).await, Err(all[1]));
    assert_eq!(
        world.follows(all[1]).await.unwrap(),
        all[2..],
        "who has seen all that is gone misses nothing"
    );
    assert_eq!(events.forget(90, 2).await.unwrap(), 1);
    assert_eq!(events.forget(90, 2).await.unwrap(), 0, "what is young stays");
    assert_eq!(world.follows(all[2]).await.unwrap(), all[3..]);
    let audit = world.store.audit().list(&Filter::default(), None, PageSize::default()).await.unwrap();
    assert_eq!(audit.items.len(), 4, "the audit record stays");
}

#[tokio::test]
async fn when_all_is_forgotten_it_is_still_known_where_a_follower_stands() {
    let world = World::new().await;
    world.records("1.0.0", None).await;
    world.ages(8).await;
    let newest = world.store.events().newest().await.unwrap();

    // However little is asked for, a week is kept; this is older.
    assert_eq!(world.store.events().forget(0, 100).await.unwrap(), 1);

    assert_eq!(world.store.events().newest().await.unwrap(), newest);
    assert_eq!(world.follows(newest).await, Ok(Vec::new()));
    assert_eq!(world.follows(newest - 1).await, Err(newest));
    world.records("1.1.0", None).await;
    assert_eq!(world.follows(newest).await.unwrap().len(), 1);
}

#[tokio::test]
async fn no_service_makes_the_record_forget_sooner_than_the_schema_allows() {
    let world = World::new().await;
    let key = Key { text: "k-1".to_owned(), request: [7; 32] };
    world.records("1.0.0", Some(&key)).await;
    let mut app = PgConnection::connect(&world.scratch.app_url()).await.unwrap();
    let count = "SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM idempotency_keys)";
    let forget = "SELECT forget_events(-1000, 100), forget_idempotency_keys(-1000, 100)";

    app.execute(forget).await.unwrap();
    assert_eq!(sqlx::query_scalar::<_, i64>(count).fetch_one(&mut app).await.unwrap(), 2);
    world.ages(6).await;
    app.execute(forget).await.unwrap();
    assert_eq!(
        sqlx::query_scalar::<_, i64>(count).fetch_one(&mut app).await.unwrap(),
        1,
        "the key alone is old"
    );
}

#[tokio::test]
async fn a_key_holds_until_it_is_forgotten() {
    let world = World::new().await;
    let key = Key { text: "k-1".to_owned(), request: [7; 32] };
    assert_eq!(world.records("1.0.0", Some(&key)).await, Novelty::New);
    world.ages(29).await;
    assert_eq!(world.store.idempotency_keys().forget(30, 100).await.unwrap(), 0);
    assert_eq!(world.records("1.0.0", Some(&key)).await, Novelty::Replayed);
    world.ages(2).await;
    assert_eq!(world.store.idempotency_keys().forget(30, 100).await.unwrap(), 1);
    assert_eq!(world.records("1.0.0", Some(&key)).await, Novelty::Known);
}
