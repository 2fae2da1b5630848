//! What the catalog tells: one snapshot against another, and what stands in the last one.

use super::{Code, Level};

pub static DOWN_LEAVES_DRIFT: Code = Code {
    name: "down-leaves-drift",
    level: Level::Error,
    title: "the down does not restore the schema",
    story: "The catalog was read before the up and after the down, and again after the first and the second up. Of 467 \
downs in real projects 40 leave another schema behind: a default or a NOT NULL that does not come back, a table made \
again without its grants, an extension or a type that stays. The old release then runs on a schema that no test has \
ever seen. The place of a column makes no difference. What cannot be taken back by its nature, such as an enum's label, \
is waived. A down that restores the schema but drops and makes again what held rows before the up is an info.",
};
