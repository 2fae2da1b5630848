//! `rls-gap`: row security that lets nothing through, or too much, and functions that lend their owner's rights.

use sqlx::{Connection as _, PgConnection};

use crate::{
    checks::schema::AllTouched, codes, error::Error, finding::Finding, target::lost, upgrade::Scene,
};

const TABLES: &str = include_str!("rls_gap.sql");
const DEFINERS: &str = include_str!("definers.sql");

/// Of tables and functions that pending migrations made or changed.
pub(crate) async fn check(scene: &Scene<'_>, touched: &AllTouched<'_>) -> Result<Vec<Finding>, Error> {
    let mut admin = scene.target.admin().await?;
    let mut findings = of_tables(scene, touched, &mut admin).await?;
    findings.extend(of_definers(touched, &mut admin).await?);
    drop(admin.close().await);
    Ok(findings)
}

async fn of_tables(
    scene: &Scene<'_>,
    touched: &AllTouched<'_>,
    admin: &mut PgConnection,
) -> Result<Vec<Finding>, Error> {
    let (app, maker) = (&scene.project.roles.app, scene.project.maker());
    let tables: Vec<(String, bool, bool, bool)> = sqlx::query_as(TABLES)
        .bind(app)
        .bind(maker)
        .bind(scene.target.ledger_name())
        .fetch_all(admin)
        .await
        .map_err(|error| lost("looking at row security", &error))?;
    let mut findings = Vec::new();
    for (object, locked_out, forced_on_maker, only_open_one) in &tables {
        let Some(touched) = touched.get(&**object) else { continue };
        let name = object.trim_start_matches("table ");
        if *locked_out {
            let finding = Finding::new(
                &codes::RLS_GAP,
                format!("{object} has row security, and no policy lets `{app}` see a row of it"),
            )
            .means(format!("`{app}` reads no rows and changes none, without any error"))
            .fix(format!("CREATE POLICY … ON {name} TO {app} USING (…); or disable row security on it"));
            findings.push(touched.place(object, finding));
        }
        if *forced_on_maker {
            let finding = Finding::new(
                &codes::RLS_GAP,
                format!(
                    "{object} forces row security on its owner, and no policy lets `{maker}` see a row of it"
                ),
            )
            .only_warns()
            .means(
                "a later migration that fills or corrects its rows changes none of them, without any error",
            )
            .fix(format!("CREATE POLICY … ON {name} TO {maker} USING (true); or leave out FORCE"));
            findings.push(touched.place(object, finding));
        }
        if *only_open_one && touched.is_new {
            let finding = Finding::new(
                &codes::RLS_GAP,
                format!("{object} has no row security, and every other table of its schema has"),
            )
            .only_warns()
            .means(format!("`{app}` sees every row of it, whoever asks"))
            .fix(format!(
                "ALTER TABLE {name} ENABLE ROW LEVEL SECURITY; and a policy; or waive this with the reason"
            ));
            findings.push(touched.place(object, finding));
        }
    }
    Ok(findings)
}

async fn of_definers(touched: &AllTouched<'_>, admin: &mut PgConnection) -> Result<Vec<Finding>, Error> {
    let functions: Vec<(String, bool, bool)> = sqlx::query_as(DEFINERS)
        .fetch_all(admin)
        .await
        .map_err(|error| lost("looking at functions", &error))?;
    let mut findings = Vec::new();
    for (object, has_open_path, is_public) in &functions {
        let Some(touched) = touched.get(&**object) else { continue };
        let name = object.split_once(' ').map_or(&**object, |(_, name)| name);
        let finding = if *has_open_path {
            Finding::new(
                &codes::RLS_GAP,
                format!("{object} runs with its owner's rights, in the `search_path` of whoever calls it"),
            )
            .only_warns()
            .means(
                "a caller puts a table or function of his own in front, and it runs with the owner's rights",
            )
            .fix(format!("ALTER ROUTINE {name} SET search_path = pg_catalog, …, pg_temp;"))
        } else if *is_public {
            Finding::new(
                &codes::RLS_GAP,
                format!("{object} runs with its owner's rights, and everybody may call it"),
            )
            .only_informs()
            .means("every role that can log in does with it what only its owner may")
            .fix(format!("REVOKE EXECUTE ON ROUTINE {name} FROM PUBLIC; and grant it to whom it is for"))
        } else {
            continue;
        };
        findings.push(touched.place(object, finding));
    }
    Ok(findings)
}
