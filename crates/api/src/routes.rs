//! The one table of routes, a module for each noun; what their lines have in common.

mod changes;
mod environments;
mod promotions;
mod releases;
mod tokens;

use crate::{Answer, Parameter, Place, Route, Shape};

/// Every route of the API, by noun.
pub static ROUTES: [Route; 21] = {
    // In a `static` no iterator runs: the nouns' tables are copied one after the other.
    let tables: [&[Route]; 5] =
        [releases::ROUTES, environments::ROUTES, promotions::ROUTES, changes::ROUTES, tokens::ROUTES];
    let mut all = [releases::ROUTES[0]; 21];
    let (mut table, mut filled) = (0, 0);
    while table < tables.len() {
        let mut line = 0;
        while line < tables[table].len() {
            all[filled] = tables[table][line];
            filled += 1;
            line += 1;
        }
        table += 1;
    }
    assert!(filled == all.len(), "the length of ROUTES is the number of its lines");
    all
};

const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

const LIMIT: Parameter = Parameter {
    name: "limit",
    place: Place::Query,
    what: "How many items the page holds.",
    schema: r#"{"type":"integer","minimum":1,"maximum":100,"default":50}"#,
};

const CURSOR: Parameter = Parameter {
    name: "cursor",
    place: Place::Query,
    what: "Where the page begins: `next` of the page before, which the `link` header has too.",
    schema: r#"{"type":"string"}"#,
};

const PAGE: &[Parameter] = &[LIMIT, CURSOR];

const KEY: Parameter = Parameter {
    name: crate::IDEMPOTENCY_KEY,
    place: Place::Header,
    what: "Under the same key the same request is carried out once, however often it is sent.",
    schema: r#"{"type":"string","minLength":1,"maxLength":255}"#,
};

const NOT_FOUND: Answer = problem(404, "It is not recorded.");
const KEY_REUSED: Answer =
    problem(422, "A field holds what cannot be accepted, or the key was used for another request.");
const INVALID: Answer = problem(422, "A field holds what cannot be accepted.");

const fn text(name: &'static str, what: &'static str) -> Parameter {
    Parameter { name, place: Place::Query, what, schema: r#"{"type":"string"}"# }
}

const fn answer(status: u16, what: &'static str, body: Shape) -> Answer {
    Answer { status, what, body: Some(body), media_type: JSON }
}

const fn problem(status: u16, what: &'static str) -> Answer {
    Answer { status, what, body: Some(Shape::of::<crate::Problem>()), media_type: PROBLEM }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{Exposure, Method, Role};

    #[test]
    fn the_table_says_who_may_do_what() {
        let lines: Vec<String> = ROUTES
            .iter()
            .map(|route| format!("{:8} {:6} {}", route.role.name(), route.method.as_str(), route.path))
            .collect();
        insta::assert_snapshot!(lines.join("\n"), @"
        viewer   GET    /v1/releases
        releaser POST   /v1/releases
        viewer   GET    /v1/releases/{version}
        viewer   GET    /v1/environments
        viewer   GET    /v1/environments/{name}
        operator PUT    /v1/environments/{name}
        viewer   GET    /v1/environments/{name}/desired
        viewer   GET    /v1/environments/{name}/observations
        operator POST   /v1/environments/{name}/observations
        viewer   GET    /v1/environments/{name}/promotions
        releaser POST   /v1/environments/{name}/promotions
        viewer   GET    /v1/promotions/{id}
        operator POST   /v1/promotions/{id}/approve
        operator POST   /v1/promotions/{id}/reject
        releaser POST   /v1/promotions/{id}/withdraw
        viewer   GET    /v1/audit
        viewer   GET    /v1/events
        operator GET    /v1/tokens
        operator POST   /v1/tokens
        operator DELETE /v1/tokens/{id}
        operator POST   /internal/v1/tokens/resolve
        ");
    }

    #[test]
    fn no_line_stands_twice_and_whoever_only_reads_changes_nothing() {
        let keys: BTreeSet<_> = ROUTES.iter().map(|route| (route.path, route.method)).collect();
        let names: BTreeSet<_> = ROUTES.iter().map(|route| route.operation).collect();
        assert_eq!((keys.len(), names.len()), (ROUTES.len(), ROUTES.len()));
        for route in &ROUTES {
            assert!(route.method == Method::Get || route.role > Role::Viewer, "{}", route.operation);
            let internal = route.path.starts_with("/internal/");
            assert_eq!(internal, route.exposure == Exposure::Internal, "{}", route.operation);
            assert!(internal || route.path.starts_with("/v1/"), "{}", route.operation);
        }
    }
}
