//! `/v1/releases`.

use super::{INVALID, KEY, KEY_REUSED, NOT_FOUND, PAGE, answer, problem};
use crate::Exposure::Public;
use crate::Role::{Releaser, Viewer};
use crate::{Method, NewRelease, Release, Route, Shape};

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: Method::Get,
        path: "/v1/releases",
        role: Viewer,
        exposure: Public,
        operation: "listReleases",
        summary: "Lists releases, newest first.",
        parameters: PAGE,
        request: None,
        answers: &[answer(200, "A page of releases.", Shape::page_of::<Release>()), INVALID],
    },
    Route {
        method: Method::Post,
        path: "/v1/releases",
        role: Releaser,
        exposure: Public,
        operation: "recordRelease",
        summary: "Records a release, which never changes from then on.",
        parameters: &[KEY],
        request: Some(Shape::of::<NewRelease>()),
        answers: &[
            answer(201, "It is recorded.", Shape::of::<Release>()),
            answer(200, "It was recorded before, with the same content.", Shape::of::<Release>()),
            problem(409, "Its version is recorded with other content; `errors` names what differs."),
            KEY_REUSED,
        ],
    },
    Route {
        method: Method::Get,
        path: "/v1/releases/{version}",
        role: Viewer,
        exposure: Public,
        operation: "getRelease",
        summary: "Shows the release of a version.",
        parameters: &[],
        request: None,
        answers: &[answer(200, "The release.", Shape::of::<Release>()), NOT_FOUND],
    },
];
