//! The three roles on the gate's server: made where no prelude makes them, and looked at.

use sqlx::{PgConnection, Row as _};

use crate::{
    error::Error,
    project::{Policy, Roles},
    target::lost,
};

/// Those that the server does not have.
pub(crate) async fn missing(admin: &mut PgConnection, roles: &Roles) -> Result<Vec<String>, Error> {
    let mut names: Vec<String> = roles.names().into_iter().map(Into::into).collect();
    let known: Vec<String> =
        sqlx::query_scalar("SELECT rolname::text FROM pg_roles WHERE rolname = ANY ($1)")
            .bind(&names)
            .fetch_all(admin)
            .await
            .map_err(|error| lost("looking for the roles", &error))?;
    names.retain(|name| !known.contains(name));
    Ok(names)
}

/// The roles and rights that a plain project needs: owner and deployer may create in `public`, app may look.
///
/// Where the policy says so, the deployer is a member of the owner.
pub(crate) fn default(roles: &Roles, policy: Policy) -> String {
    let [owner, deployer, app] =
        [&roles.owner, &roles.deployer, &roles.app].map(|name| format!("'{}'", name.replace('\'', "''")));
    let member = match policy {
        _ if roles.owner == roles.deployer => String::new(),
        // A server that somebody gave may remember another policy.
        Policy::Split => format!(
            "IF EXISTS (SELECT FROM pg_auth_members WHERE pg_get_userbyid(roleid) = {owner} AND pg_get_userbyid(member) = {deployer}) THEN \
             EXECUTE format('REVOKE %I FROM %I', {owner}, {deployer}); END IF;"
        ),
        Policy::Member | Policy::SetRole => format!("EXECUTE format('GRANT %I TO %I', {owner}, {deployer});"),
    };
    // Roles belong to the whole cluster: two databases that are set up at once must not race for them.
    format!(
        "DO $gate$
        DECLARE
            role_name text;
        BEGIN
            LOCK TABLE pg_catalog.pg_authid IN SHARE ROW EXCLUSIVE MODE;
            FOREACH role_name IN ARRAY ARRAY[{owner}, {deployer}, {app}] LOOP
                IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role_name) THEN
                    EXECUTE format('CREATE ROLE %I LOGIN', role_name);
                END IF;
                EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), role_name);
                EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', role_name);
            END LOOP;
            EXECUTE format('ALTER DATABASE %I OWNER TO %I', current_database(), {owner});
            EXECUTE format('GRANT CREATE ON SCHEMA public TO %I, %I', {owner}, {deployer});
            {member}
        END
        $gate$"
    )
}

/// What people should know of roles to whom nothing is refused.
pub(crate) async fn superusers(admin: &mut PgConnection, roles: &Roles) -> Result<Vec<String>, Error> {
    let rows = sqlx::query("SELECT rolname::text FROM pg_roles WHERE rolsuper AND rolname = ANY ($1)")
        .bind(vec![roles.deployer.clone(), roles.app.clone()])
        .fetch_all(admin)
        .await
        .map_err(|error| lost("looking for superusers", &error))?;
    Ok(rows
        .iter()
        .map(|row| {
            let role: String = row.get(0);
            format!(
                "`{role}` is a superuser, to whom nothing is refused: what another role owns is not judged"
            )
        })
        .collect())
}
