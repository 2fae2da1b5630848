//! What is over for longer than it is kept is cleared away; what is on the record stays.

use std::time::Instant;

use sqlx::PgConnection;

use crate::{DEADLINE, World};

/// How many rows of each are there: events, keys, what was handed over, and audit entries.
async fn counts(admin: &mut PgConnection) -> (i64, i64, i64, i64) {
    let count = "SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM idempotency_keys),
                        (SELECT count(*) FROM webhook_outbox), (SELECT count(*) FROM audit_entries)";
    sqlx::query_as(count).fetch_one(admin).await.unwrap()
}

#[tokio::test]
async fn a_worker_clears_away_what_is_over_for_longer_than_its_settings_say() {
    let world = World::new().await;
    let mut admin = world.admin().await;
    world.release("1.4.0").await;
    for sql in [
        "INSERT INTO idempotency_keys (actor, key, request, subject, created_at)
         VALUES ('ann', 'old', sha256('1'), 'release/1', now() - interval '6 days'),
                ('ann', 'new', sha256('2'), 'release/2', now() - interval '4 days')",
        "UPDATE events SET at = now() - interval '9 days'",
        "UPDATE webhook_outbox SET delivered_at = now() - interval '40 days'",
        "DELETE FROM jobs",
    ] {
        sqlx::query(sql).execute(&mut admin).await.unwrap();
    }
    world.release("1.5.0").await;
    let audited = counts(&mut admin).await.3;

    let settings = [("WORKER_KEEP_EVENTS_DAYS", "8"), ("WORKER_KEEP_KEYS_DAYS", "5")];
    let _worker = world.worker_with(&settings);

    let start = Instant::now();
    // The newer release: that it was recorded and judged, each an event, and each in the outbox for somebody to come.
    while counts(&mut admin).await != (2, 1, 2, audited + 1) {
        assert!(start.elapsed() < DEADLINE, "there are {:?}", counts(&mut admin).await);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
