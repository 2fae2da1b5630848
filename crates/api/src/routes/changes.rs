//! `/v1/audit` and `/v1/events`: what was done, looked up and followed.

use super::{CURSOR, INVALID, LIMIT, answer, problem, text};
use crate::Exposure::Public;
use crate::Role::Viewer;
use crate::{Answer, AuditEntry, Event, Method, Parameter, Place, Route, Shape};

const INSTANT: &str = r#"{"type":"string","format":"date-time"}"#;

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: Method::Get,
        path: "/v1/audit",
        role: Viewer,
        exposure: Public,
        operation: "listAuditEntries",
        summary: "Lists who did what, newest first.",
        parameters: &[
            LIMIT,
            CURSOR,
            text("subject", "Only what was done to this: `release/0190…`."),
            text("actor", "Only what they did."),
            text("action", "Only this: `release.recorded`; `release.` is everything that begins so."),
            text("request_id", "Only what was done in the course of this request."),
            Parameter { name: "since", place: Place::Query, what: "Not before this.", schema: INSTANT },
            Parameter { name: "until", place: Place::Query, what: "Before this.", schema: INSTANT },
        ],
        request: None,
        answers: &[answer(200, "A page of entries.", Shape::page_of::<AuditEntry>()), INVALID],
    },
    Route {
        method: Method::Get,
        path: "/v1/events",
        role: Viewer,
        exposure: Public,
        operation: "followEvents",
        summary: "Tells changes as they happen, each once and in order, as server-sent events.",
        parameters: &[
            Parameter {
                name: "last-event-id",
                place: Place::Header,
                what: "Goes on behind this event; without it, with what happens from now on. Events are kept for a time, at least a week.",
                schema: r#"{"type":"integer","minimum":0}"#,
            },
            Parameter {
                name: "after",
                place: Place::Query,
                what: "As `last-event-id`, which counts more, for the first request of a client that sets no headers.",
                schema: r#"{"type":"integer","minimum":0}"#,
            },
        ],
        request: None,
        answers: &[
            Answer {
                status: 200,
                what: "The changes; the schema is that of each event's `data`.",
                body: Some(Shape::of::<Event>()),
                media_type: "text/event-stream",
            },
            INVALID,
            problem(
                410,
                "Events behind that one are forgotten (`events_forgotten`): read the lists anew, then follow from now on.",
            ),
            problem(503, "Something that the service needs is away, or too many clients follow already."),
        ],
    },
];
