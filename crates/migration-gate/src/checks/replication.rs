//! `lint`: tables whose rows do not last, or do not reach a replica.

use sqlx::Connection as _;

use crate::{
    catalog::Catalog, checks::schema::AllTouched, codes, error::Error, finding::Finding, target::lost,
    upgrade::Scene,
};

const WITHOUT_IDENTITY: &str = include_str!("replication.sql");

/// Of tables that pending migrations made or changed.
pub(crate) async fn check(
    scene: &Scene<'_>,
    end: &Catalog,
    touched: &AllTouched<'_>,
) -> Result<Vec<Finding>, Error> {
    let mut findings = unlogged(end, touched);
    let mut admin = scene.target.admin().await?;
    let objects: Vec<String> = sqlx::query_scalar(WITHOUT_IDENTITY)
        .fetch_all(&mut admin)
        .await
        .map_err(|error| lost("looking at publications", &error))?;
    drop(admin.close().await);
    for object in &objects {
        let Some(touched) = touched.get(&**object) else { continue };
        let what = format!("{object} is published, and nothing in it tells one row from another");
        let finding = Finding::new(&codes::LINT, what)
            .means("UPDATE and DELETE there are refused: `it does not have a replica identity`")
            .fix("give it a primary key; or `ALTER TABLE … REPLICA IDENTITY`");
        findings.push(touched.place(object, finding));
    }
    Ok(findings)
}

fn unlogged(end: &Catalog, touched: &AllTouched<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (object, touched) in touched {
        let is_unlogged = end.fact(object, "persistence") == Some("unlogged");
        let is_turned =
            || touched.made.differences.iter().any(|it| it.object == **object && it.aspect == "persistence");
        if is_unlogged && (touched.is_new || is_turned()) {
            let finding = Finding::new(&codes::LINT, format!("{object} is UNLOGGED"))
                .only_informs()
                .means("after a crash of the server it is empty, and no replica ever has its rows")
                .fix("leave UNLOGGED out, unless its rows can be made again at any time");
            findings.push(touched.place(object, finding));
        }
    }
    findings
}
