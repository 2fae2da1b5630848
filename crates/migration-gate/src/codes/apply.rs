//! What applying, reverting and applying again tells.

use super::{Code, Level};

pub static APPLY_FAILED: Code = Code {
    name: "apply-failed",
    level: Level::Error,
    title: "production would refuse this migration",
    story: "The migration was run as production would run it: on the schema that production's ledger gives, in a login \
of the deployer, the whole file as one query in one transaction with its line in the ledger. The server refused it. The \
classic: two branches are merged, one drops a column and the other one, pending, uses it. Each was green alone.",
    remedy: "Correct the statement that the finding names, for the schema that the earlier migrations leave. \
Where a replayed entry of the ledger is refused, let the prelude make what production had before its first \
migration.",
};

pub static NOT_OWNER: Code = Code {
    name: "not-owner",
    level: Level::Error,
    title: "the migration alters what another role owns",
    story: "Only the owner of an object may alter, index, comment or drop it, whatever was granted besides. Tests run \
as a superuser and see nothing; in production the deployer gets SQLSTATE 42501, `must be owner of table accounts`. \
`IF NOT EXISTS` does not help: the server asks for ownership first.",
    remedy: "Put the change into something that the deployer makes and owns; or let the owner apply the file in \
production, and take it into the ledger by a snapshot. `GRANT` does not help.",
};

pub static DOWN_FAILS: Code = Code {
    name: "down-fails",
    level: Level::Error,
    title: "the down does not run",
    story: "The down was run right after its up, in a login of the deployer, and the server refused it. Downs are \
written last and tried never: of 467 in real projects 26 do not run, half of them for a syntax error. It is found out \
in the incident that needs it.",
    remedy: "Correct the statement of the down that the finding names: it runs on the schema that its up leaves, \
as the deployer.",
};

pub static REUP_FAILS: Code = Code {
    name: "reup-fails",
    level: Level::Error,
    title: "after its down, the up cannot be applied again",
    story: "Up and down ran, the second up did not: the down left something behind (a type, a function, an extension's \
object) that the up wants to make. After a rollback the repaired release cannot be deployed.",
    remedy: "Let the down drop everything that the up makes, such as `DROP TYPE tag_kind;` behind `DROP TABLE \
tags;`.",
};

pub static NOT_JUDGED: Code = Code {
    name: "not-judged",
    level: Level::Info,
    title: "what comes after a fault could not be judged",
    story: "A migration runs on the schema that the earlier ones leave. Where one of them cannot be run, the later ones \
are neither good nor bad: they are judged as soon as the fault is corrected.",
    remedy: "Correct what is reported as an error, and check again.",
};

pub static FRAMING: Code = Code {
    name: "framing",
    level: Level::Error,
    title: "the file does not fit into the way sqlx sends it",
    story: "sqlx sends a file as one query, inside the transaction that also writes its line in the ledger. `CREATE INDEX \
CONCURRENTLY`, `VACUUM` and others refuse to run there (SQLSTATE 25001). The marker `-- no-transaction` helps only as the \
very first bytes of the file (a comment or an empty line before it and sqlx does not see it), and only for one statement: \
several in one query are one transaction, whatever the marker says. `psql -f` sends statement by statement and shows none of it. \
As a warning: a role that a file makes belongs to the whole server, and is refused where another database has made it.",
    remedy: "Give such a statement a file of its own, with `-- no-transaction` as its very first bytes. What \
reaches beyond the database is for its administrator.",
};

pub static NESTED_TRANSACTION: Code = Code {
    name: "nested-transaction",
    level: Level::Error,
    title: "the file begins or ends transactions itself",
    story: "sqlx has put a transaction around the file. `BEGIN` in it is only a warning; `COMMIT` ends sqlx's transaction: what \
ran so far is kept, the rest runs on its own, and when it fails the ledger says nothing of what is already there. The next \
deployment runs the file again on its own leavings and stops with `already exists`. A `COMMIT; BEGIN;` pair hides it from the \
eye, not from the transaction's number.",
    remedy: "Take `BEGIN`, `COMMIT` and `ROLLBACK` out of the file. `SAVEPOINT` is allowed.",
};

pub static GRANT_IGNORED: Code = Code {
    name: "grant-ignored",
    level: Level::Error,
    title: "a GRANT or REVOKE does nothing, and the server only warns",
    story: "Whoever neither owns an object nor holds a right WITH GRANT OPTION may not grant it. The server answers with a \
warning (SQLSTATE 01007, or 01006 for REVOKE), not with an error: the deployment is green, and the services meet `permission denied` \
at the first request. Tests run as a superuser, for whom the same GRANT works.",
    remedy: "Let the owner of the object grant it, or give the deployer the right `WITH GRANT OPTION` in a \
migration of the owner's.",
};

pub static SWALLOWED_ERROR: Code = Code {
    name: "swallowed-error",
    level: Level::Error,
    title: "something did not happen as written, and nothing but a handler or a notice knows",
    story: "`EXCEPTION WHEN OTHERS` in a DO block also catches `permission denied`: the deployment is green, and the column is not \
there. The file is run as the deployer; errors that its handlers catch are counted while it runs, and named by a rehearsal \
that is rolled back. What is there already (`duplicate_object`) may be caught. The same holds, as a warning, for what only a \
notice tells: `CREATE TABLE IF NOT EXISTS` on a table of another shape, and names that the server cuts at 63 bytes.",
    remedy: "Let the handler name the error that it expects (`WHEN duplicate_object`), and let all others stop \
the deployment. Alter what is there instead of passing over it.",
};

pub static ROLE_ESCAPE: Code = Code {
    name: "role-escape",
    level: Level::Error,
    title: "the file wants to run as somebody else",
    story: "`SET ROLE`, `RESET ROLE` and `SET SESSION AUTHORIZATION` change who runs what follows. In tests the session is a \
superuser's and anything goes; in production the deployer is refused, or the objects end up with another owner, or the session, left \
in another role, runs every later migration of that deployment otherwise than when deployed alone. What only a superuser may \
do is the same fault. The gate logs in as the deployer, so nothing escapes here that would not escape there.",
    remedy: "Take the statement away: everything in the file runs as the deployer. Instead of `SET search_path` \
write `SET LOCAL`, which ends with the transaction.",
};

pub static NO_LOCK_TIMEOUT: Code = Code {
    name: "no-lock-timeout",
    level: Level::Warning,
    title: "strong locks on production's tables without a limit on waiting for them",
    story: "`ALTER TABLE` waits for whoever reads the table, and everyone who comes later waits behind it: one long report and a \
migration that takes a millisecond are an outage. With a `lock_timeout` the migration gives up instead and the deployment is run \
again. Only locks on tables that production has count, and one finding stands for all files: \
`ALTER ROLE deployer SET lock_timeout = '5s'` settles it for good.",
    remedy: "Set it for the role once, as above, and in the prelude here; or declare what the project's own \
migrator sets (`lock-timeout`).",
};

pub static CONCURRENT_BOOT: Code = Code {
    name: "concurrent-boot",
    level: Level::Warning,
    title: "two migrators that start together stop each other",
    story: "sqlx's migrator waits for its lock inside of the server. `CREATE INDEX CONCURRENTLY` waits until everyone has ended \
who had begun before, also the second migrator, which waits for the first one: a deadlock (SQLSTATE 40P01). Whichever the server \
ends, a replica does not start; where it is the index, an invalid one stays behind and the next start stops with `already exists`. The \
gate starts two of sqlx's migrators at once on what production is, whenever a pending file runs outside of a transaction.",
    remedy: "Let the migrator ask for its lock again and again (`pg_try_advisory_lock`) instead of waiting in \
the server, and declare `boot = \"polls\"`; or deploy by one process before the replicas start (`boot = \
\"alone\"`).",
};
