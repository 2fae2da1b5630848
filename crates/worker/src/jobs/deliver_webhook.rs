//! Tells a receiver of an event. It may arrive more than once; its id says that it is the same.

use serde_json::{Value, json};
use store::jobs::{DeliverWebhook, Effects, Failure};
use tracing::field::Empty;
use tracing::{Instrument as _, info_span};

use super::{Done, Task};
use crate::receivers::Format;
use crate::webhook::{Message, Undelivered};

/// Sends what the payload holds to the receiver that it names.
pub(super) async fn run(task: Task) -> Done {
    let webhook: DeliverWebhook = task.payload()?;
    let Some(receiver) = task.tools.receivers.get(&webhook.receiver) else {
        let name = &webhook.receiver;
        return Err(Failure::Retry(format!("this worker's `WEBHOOKS_FILE` names no receiver `{name}`")));
    };
    let message = Message {
        id: format!("event-{}", webhook.event_id),
        body: body(&webhook, receiver.format, task.request_id.as_deref()).to_string(),
        request_id: task.request_id.clone(),
    };
    let span = info_span!("POST", otel.kind = "client", otel.status = Empty, receiver = receiver.name);
    let sending = task.tools.sender.send(&receiver.url, &message, &receiver.keys, receiver.timeout);
    let sent = sending.instrument(span.clone()).await;
    match sent {
        Ok(()) => Ok(Effects::default()),
        Err(why) => {
            span.record("otel.status", "error");
            let text = format!("`{}` was not told: {why}", webhook.receiver);
            Err(match why {
                Undelivered::Gone => Failure::Permanent(text),
                Undelivered::Refused { after: Some(wait), .. } => Failure::RetryAfter(text, wait),
                _ => Failure::Retry(text),
            })
        }
    }
}

fn body(webhook: &DeliverWebhook, format: Format, request_id: Option<&str>) -> Value {
    match format {
        Format::Event => json!({
            "type": webhook.event,
            "timestamp": webhook.occurred_at,
            "data": webhook.data,
            "request_id": request_id,
        }),
        Format::Chat => json!({ "text": format!("{}\n{}", subject(webhook), text(&webhook.data)) }),
        Format::Mail => json!({ "subject": subject(webhook), "text": text(&webhook.data) }),
    }
}

/// `release.recorded` reads as `Slipway: release recorded 1.4.0`.
fn subject(webhook: &DeliverWebhook) -> String {
    let version = webhook.data.get("version").and_then(Value::as_str).unwrap_or_default();
    format!("Slipway: {} {version}", webhook.event.replace(['.', '_'], " ")).trim_end().to_owned()
}

/// What is plain in the data, a line each.
fn text(data: &Value) -> String {
    let plain = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    };
    let fields = data.as_object().into_iter().flatten();
    let lines =
        fields.filter_map(|(name, value)| Some(format!("{}: {}", name.replace('_', " "), plain(value)?)));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook() -> DeliverWebhook {
        DeliverWebhook {
            receiver: "chat".to_owned(),
            event_id: 7,
            event: "release.recorded".to_owned(),
            occurred_at: "2026-01-02T03:04:05Z".to_owned(),
            data: json!({ "version": "1.4.0", "commit_id": "c0ffee", "images": [] }),
        }
    }

    #[test]
    fn each_format_is_what_its_receivers_take() {
        let sent = |format| body(&webhook(), format, Some("req-1")).to_string();
        insta::assert_snapshot!(sent(Format::Event), @r#"{"data":{"commit_id":"c0ffee","images":[],"version":"1.4.0"},"request_id":"req-1","timestamp":"2026-01-02T03:04:05Z","type":"release.recorded"}"#);
        insta::assert_snapshot!(sent(Format::Chat), @r#"{"text":"Slipway: release recorded 1.4.0\ncommit id: c0ffee\nversion: 1.4.0"}"#);
        insta::assert_snapshot!(sent(Format::Mail), @r#"{"subject":"Slipway: release recorded 1.4.0","text":"commit id: c0ffee\nversion: 1.4.0"}"#);
    }
}
