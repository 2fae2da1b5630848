//! `/v1/environments/{name}/promotions` and `/v1/promotions`.

use super::{INVALID, KEY, KEY_REUSED, NOT_FOUND, PAGE, answer, problem};
use crate::Exposure::Public;
use crate::Role::{Operator, Releaser, Viewer};
use crate::{Answer, Decision, Method, NewPromotion, Promotion, Route, Shape};

const DECIDED: Answer = problem(409, "It is decided already.");
const ONESELF: Answer = problem(403, "The role does not suffice, or nobody but another person may do it.");

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: Method::Get,
        path: "/v1/environments/{name}/promotions",
        role: Viewer,
        exposure: Public,
        operation: "listPromotions",
        summary: "Lists what was asked for in an environment, newest first.",
        parameters: PAGE,
        request: None,
        answers: &[answer(200, "A page of promotions.", Shape::page_of::<Promotion>()), NOT_FOUND, INVALID],
    },
    Route {
        method: Method::Post,
        path: "/v1/environments/{name}/promotions",
        role: Releaser,
        exposure: Public,
        operation: "askForPromotion",
        summary: "Asks for a release in an environment; where that is not protected, it is the desired one at once.",
        parameters: &[KEY],
        request: Some(Shape::of::<NewPromotion>()),
        answers: &[
            answer(201, "It is asked for.", Shape::of::<Promotion>()),
            NOT_FOUND,
            problem(
                409,
                "Another promotion is open, or the release may not come here (yet); `code` and `detail` say why.",
            ),
            KEY_REUSED,
        ],
    },
    Route {
        method: Method::Get,
        path: "/v1/promotions/{id}",
        role: Viewer,
        exposure: Public,
        operation: "getPromotion",
        summary: "Shows a promotion.",
        parameters: &[],
        request: None,
        answers: &[answer(200, "The promotion.", Shape::of::<Promotion>()), NOT_FOUND],
    },
    Route {
        method: Method::Post,
        path: "/v1/promotions/{id}/approve",
        role: Operator,
        exposure: Public,
        operation: "approvePromotion",
        summary: "Makes the release the desired one. Nobody approves what they asked for, and no machine approves.",
        parameters: &[],
        request: Some(Shape::of::<Decision>()),
        answers: &[
            answer(200, "It is approved.", Shape::of::<Promotion>()),
            ONESELF,
            NOT_FOUND,
            problem(409, "It is decided already, or what proved it holds no more."),
            INVALID,
        ],
    },
    Route {
        method: Method::Post,
        path: "/v1/promotions/{id}/reject",
        role: Operator,
        exposure: Public,
        operation: "rejectPromotion",
        summary: "Refuses what another person asked for.",
        parameters: &[],
        request: Some(Shape::of::<Decision>()),
        answers: &[
            answer(200, "It is rejected.", Shape::of::<Promotion>()),
            ONESELF,
            NOT_FOUND,
            DECIDED,
            INVALID,
        ],
    },
    Route {
        method: Method::Post,
        path: "/v1/promotions/{id}/withdraw",
        role: Releaser,
        exposure: Public,
        operation: "withdrawPromotion",
        summary: "Takes back what one asked for; an operator takes back anybody's.",
        parameters: &[],
        request: Some(Shape::of::<Decision>()),
        answers: &[
            answer(200, "It is withdrawn.", Shape::of::<Promotion>()),
            problem(403, "The role does not suffice, or somebody else asked for it."),
            NOT_FOUND,
            DECIDED,
            INVALID,
        ],
    },
];
