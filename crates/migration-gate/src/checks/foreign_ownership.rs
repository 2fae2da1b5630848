//! `foreign-ownership`: what pending migrations make belongs to the role that will have to alter it.

use std::collections::BTreeMap;

use crate::{
    catalog::Catalog,
    checks::schema::{AllTouched, Touched},
    codes,
    finding::Finding,
    upgrade::Scene,
};

/// One finding for each migration and each role that got something by it.
pub(crate) fn check(scene: &Scene<'_>, end: &Catalog, touched: &AllTouched<'_>) -> Vec<Finding> {
    let expected = scene.project.maker();
    let mut foreign: BTreeMap<(i64, &str), Vec<(&str, &Touched<'_>)>> = BTreeMap::new();
    for (object, touched) in touched {
        let Some(owner) = end.fact(object, "owner").filter(|owner| *owner != expected) else { continue };
        let is_given_away =
            touched.made.differences.iter().any(|it| it.object == **object && it.aspect == "owner");
        if touched.is_new || is_given_away {
            foreign.entry((touched.made.step.up.version, owner)).or_default().push((object, touched));
        }
    }
    foreign
        .into_iter()
        .filter_map(|((_, owner), objects)| {
            let (first, touched) = objects.first()?;
            let more = if objects.len() > 1 { format!(" and {} more", objects.len() - 1) } else { String::new() };
            let finding = Finding::new(
                &codes::FOREIGN_OWNERSHIP,
                format!("after this, `{owner}` owns {first}{more}, not `{expected}`"),
            )
            .means(format!(
                "the next migration that alters it needs the rights of `{owner}`, and without them is refused: SQLSTATE 42501"
            ))
            .fix(format!(
                "leave it to the role that runs migrations, or end the file with `ALTER {} OWNER TO {expected};`",
                altered(first)
            ));
            Some(touched.place(first, finding))
        })
        .collect()
}

/// `table orders` as `ALTER` wants it.
fn altered(object: &str) -> String {
    let of_two_words =
        ["materialized view", "foreign table"].into_iter().find(|kind| object.starts_with(kind));
    let kind = of_two_words.or(object.split(' ').next()).unwrap_or_default();
    format!("{}{}", kind.to_uppercase(), &object[kind.len()..])
}
