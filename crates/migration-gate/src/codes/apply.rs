//! What applying, reverting and applying again tells.

use super::{Code, Level};

pub static APPLY_FAILED: Code = Code {
    name: "apply-failed",
    level: Level::Error,
    title: "production would refuse this migration",
    story: "The migration was run as production would run it: on the schema that production's ledger gives, in a login \
of the deployer, the whole file as one query in one transaction with its line in the ledger. The server refused it. The \
classic: two branches are merged, one drops a column and the other one, pending, uses it. Each was green alone.",
};

pub static NOT_OWNER: Code = Code {
    name: "not-owner",
    level: Level::Error,
    title: "the migration alters what another role owns",
    story: "Only the owner of an object may alter, index, comment or drop it, whatever was granted besides. Tests run \
as a superuser and see nothing; in production the deployer gets SQLSTATE 42501, `must be owner of table accounts`. \
`IF NOT EXISTS` does not help: the server asks for ownership first.",
};

pub static DOWN_FAILS: Code = Code {
    name: "down-fails",
    level: Level::Error,
    title: "the down does not run",
    story: "The down was run right after its up, in a login of the deployer, and the server refused it. Downs are \
written last and tried never: of 467 in real projects 26 do not run, half of them for a syntax error. It is found out \
in the incident that needs it.",
};

pub static REUP_FAILS: Code = Code {
    name: "reup-fails",
    level: Level::Error,
    title: "after its down, the up cannot be applied again",
    story: "Up and down ran, the second up did not: the down left something behind (a type, a function, an extension's \
object) that the up wants to make. After a rollback the repaired release cannot be deployed.",
};

pub static NOT_JUDGED: Code = Code {
    name: "not-judged",
    level: Level::Info,
    title: "what comes after a fault could not be judged",
    story: "A migration runs on the schema that the earlier ones leave. Where one of them cannot be run, the later ones \
are neither good nor bad: they are judged as soon as the fault is corrected.",
};
