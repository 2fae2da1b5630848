//! `/v1/tokens`, and where the gateway asks what a token is worth.

use super::{INVALID, NOT_FOUND, PAGE, answer, problem};
use crate::Exposure::{Internal, Public};
use crate::Role::Operator;
use crate::{CreatedToken, Method, NewToken, ResolveToken, ResolvedToken, Route, Shape, Token};

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: Method::Get,
        path: "/v1/tokens",
        role: Operator,
        exposure: Public,
        operation: "listTokens",
        summary: "Lists API tokens without their secrets, newest first.",
        parameters: PAGE,
        request: None,
        answers: &[answer(200, "A page of tokens.", Shape::page_of::<Token>()), INVALID],
    },
    Route {
        method: Method::Post,
        path: "/v1/tokens",
        role: Operator,
        exposure: Public,
        operation: "createToken",
        summary: "Makes an API token and shows its secret, once.",
        parameters: &[],
        request: Some(Shape::of::<NewToken>()),
        answers: &[
            answer(201, "The token with its secret.", Shape::of::<CreatedToken>()),
            problem(409, "The name was given to a token already."),
            INVALID,
        ],
    },
    Route {
        method: Method::Delete,
        path: "/v1/tokens/{id}",
        role: Operator,
        exposure: Public,
        operation: "revokeToken",
        summary: "Revokes an API token; revoking it again changes nothing.",
        parameters: &[],
        request: None,
        answers: &[answer(200, "It is revoked.", Shape::of::<Token>()), NOT_FOUND],
    },
    Route {
        method: Method::Post,
        path: "/internal/v1/tokens/resolve",
        role: Operator,
        exposure: Internal,
        operation: "resolveToken",
        summary: "Tells the gateway what an API token is worth now.",
        parameters: &[],
        request: Some(Shape::of::<ResolveToken>()),
        answers: &[
            answer(200, "It holds.", Shape::of::<ResolvedToken>()),
            problem(404, "It is unknown, revoked or expired."),
            INVALID,
        ],
    },
];
