//! `/v1/environments`, and what was desired and seen there.

use super::{INVALID, KEY, KEY_REUSED, NOT_FOUND, PAGE, answer, problem};
use crate::Exposure::Public;
use crate::Role::{Operator, Viewer};
use crate::{
    DesiredRelease, Environment, Method, NewObservation, Observation, Parameter, Place, PutEnvironment,
    Route, Shape,
};

const IF_MATCH: Parameter = Parameter {
    name: "if-match",
    place: Place::Header,
    what: "The `ETag` of what is to be replaced; needed where something is.",
    schema: r#"{"type":"string"}"#,
};

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: Method::Get,
        path: "/v1/environments",
        role: Viewer,
        exposure: Public,
        operation: "listEnvironments",
        summary: "Lists environments by name.",
        parameters: PAGE,
        request: None,
        answers: &[answer(200, "A page of environments.", Shape::page_of::<Environment>()), INVALID],
    },
    Route {
        method: Method::Get,
        path: "/v1/environments/{name}",
        role: Viewer,
        exposure: Public,
        operation: "getEnvironment",
        summary: "Shows an environment and its desired release.",
        parameters: &[],
        request: None,
        answers: &[answer(200, "The environment, with its `ETag`.", Shape::of::<Environment>()), NOT_FOUND],
    },
    Route {
        method: Method::Put,
        path: "/v1/environments/{name}",
        role: Operator,
        exposure: Public,
        operation: "putEnvironment",
        summary: "Records an environment, or changes it.",
        parameters: &[IF_MATCH],
        request: Some(Shape::of::<PutEnvironment>()),
        answers: &[
            answer(201, "It is recorded.", Shape::of::<Environment>()),
            answer(200, "It is as asked for.", Shape::of::<Environment>()),
            problem(412, "It was changed since: `If-Match` is not its `ETag`."),
            problem(428, "It is recorded otherwise, and `If-Match` does not say what it replaces."),
            INVALID,
        ],
    },
    Route {
        method: Method::Get,
        path: "/v1/environments/{name}/desired",
        role: Viewer,
        exposure: Public,
        operation: "listDesiredReleases",
        summary: "Lists the releases that were desired in an environment, the present one first.",
        parameters: PAGE,
        request: None,
        answers: &[
            answer(200, "A page of desired releases.", Shape::page_of::<DesiredRelease>()),
            NOT_FOUND,
            INVALID,
        ],
    },
    Route {
        method: Method::Get,
        path: "/v1/environments/{name}/observations",
        role: Viewer,
        exposure: Public,
        operation: "listObservations",
        summary: "Lists what was seen to run in an environment, newest first.",
        parameters: PAGE,
        request: None,
        answers: &[
            answer(200, "A page of observations.", Shape::page_of::<Observation>()),
            NOT_FOUND,
            INVALID,
        ],
    },
    Route {
        method: Method::Post,
        path: "/v1/environments/{name}/observations",
        role: Operator,
        exposure: Public,
        operation: "recordObservation",
        summary: "Records what was seen to run in an environment: the proof that a later environment asks for.",
        parameters: &[KEY],
        request: Some(Shape::of::<NewObservation>()),
        answers: &[
            answer(201, "It is recorded.", Shape::of::<Observation>()),
            NOT_FOUND,
            problem(409, "The release was never desired there."),
            KEY_REUSED,
        ],
    },
];
