//! Postgres is ended and started again under load.

use std::time::Duration;

use scratch_postgres::Halt;

use super::clients::Clients;
use super::stage::{Stage, code};

/// The longest that a request may take: a wait for a connection (3 s) and a statement (5 s), as control has them by default.
const ANSWERED_WITHIN: Duration = Duration::from_secs(8);

#[tokio::test]
async fn postgres_may_be_restarted_in_any_way_and_nothing_that_was_acknowledged_is_lost() {
    let stage = Stage::set(&[]).await;
    let clients = Clients::begin(6, &stage);

    // Who is in stays and goes on, so that clients notice nothing; this server would never end.
    stage.postgres.halt(Halt::Smart).await.unwrap();
    let mut goes_on = clients.record(10).await;
    for how in [Halt::Fast, Halt::Immediate] {
        stage.postgres.halt(how).await.unwrap();
        stage.until_ready(503).await;
        let refused = stage.gets("/v1/releases").await;
        assert_eq!((refused.status.as_u16(), code(&refused)), (503, "unavailable".into()));
        // It is the database that is away, and nothing else.
        assert_eq!(stage.control.get("/health/live").await.status.as_u16(), 200);
        assert_eq!(stage.gets("/openapi.json").await.status.as_u16(), 200);
        stage.postgres.resume().await.unwrap();
        stage.until_ready(200).await;
        goes_on &= clients.record(10).await;
    }
    // Gone for a moment only, in the middle of everything.
    for how in [Halt::Immediate, Halt::Fast, Halt::Immediate] {
        stage.postgres.halt(how).await.unwrap();
        stage.postgres.resume().await.unwrap();
        goes_on &= clients.record(10).await;
    }

    let told = clients.end().await;
    assert!(told.faults.is_empty(), "{:#?}\n{:#?}", told.faults, stage.explained(&told.faults));
    assert!(goes_on && told.refused > 0, "{told:?}");
    assert!(told.slowest < ANSWERED_WITHIN, "{told:?}");
    stage.has_all_of(told.acknowledged).await;
    stage.ends().await;
}
