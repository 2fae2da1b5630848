//! The forms in which a compose file may write one and the same thing.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;

/// A string, or a number that YAML took for one.
#[derive(Debug, Clone)]
pub(in super::super) struct Scalar(pub(in super::super) String);

/// A list of words, or one text in which blanks part them.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Words {
    pub(in super::super) list: Vec<String>,
    /// As one text, where it was one.
    pub(in super::super) text: Option<String>,
}

/// `NAME: value` or `NAME=value`; without a value it comes from the variables.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Pairs(pub(in super::super) BTreeMap<String, Option<String>>);

/// A secret that a service is given, and where in the container.
#[derive(Debug, Clone)]
pub(in super::super) struct SecretUse {
    pub(in super::super) source: String,
    pub(in super::super) target: String,
}

/// What a service needs of others before it starts.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Dependencies(pub(in super::super) BTreeMap<String, Condition>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(in super::super) enum Condition {
    #[serde(rename = "service_started")]
    Started,
    #[serde(rename = "service_healthy")]
    Healthy,
    #[serde(rename = "service_completed_successfully")]
    Completed,
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        scalar(&value).map(Self).ok_or_else(|| D::Error::custom(format!("expected a text, found {value}")))
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Null => Ok(Self::default()),
            Value::String(text) => {
                Ok(Self { list: text.split_whitespace().map(Into::into).collect(), text: Some(text) })
            }
            Value::Array(values) => {
                let words = values.iter().map(scalar).collect::<Option<Vec<_>>>();
                let list = words.ok_or_else(|| D::Error::custom("expected a list of words"))?;
                Ok(Self { list, text: None })
            }
            other => Err(D::Error::custom(format!("expected a list of words, found {other}"))),
        }
    }
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong = |it: &Value| D::Error::custom(format!("expected `NAME: value`, found {it}"));
        let mut pairs = BTreeMap::new();
        match Value::deserialize(deserializer)? {
            Value::Null => {}
            Value::Object(entries) => {
                for (name, value) in entries {
                    let text = scalar(&value);
                    if text.is_none() && !value.is_null() {
                        return Err(wrong(&value));
                    }
                    pairs.insert(name, text);
                }
            }
            Value::Array(values) => {
                for value in &values {
                    let text = value.as_str().ok_or_else(|| wrong(value))?;
                    let (name, value) = text.split_once('=').map_or((text, None), |(it, to)| (it, Some(to)));
                    pairs.insert(name.to_owned(), value.map(Into::into));
                }
            }
            other => return Err(wrong(&other)),
        }
        Ok(Self(pairs))
    }
}

impl<'de> Deserialize<'de> for SecretUse {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let source = value.as_str().or_else(|| value["source"].as_str());
        let source = source.ok_or_else(|| D::Error::custom("a secret has a name"))?.to_owned();
        let target = value["target"].as_str().unwrap_or(&source);
        let target =
            if target.starts_with('/') { target.to_owned() } else { format!("/run/secrets/{target}") };
        Ok(Self { source, target })
    }
}

impl<'de> Deserialize<'de> for Dependencies {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Need {
            condition: Condition,
        }
        match Value::deserialize(deserializer)? {
            Value::Array(names) => {
                let names: Option<Vec<String>> = names.iter().map(scalar).collect();
                let names = names.ok_or_else(|| D::Error::custom("expected names of services"))?;
                Ok(Self(names.into_iter().map(|it| (it, Condition::Started)).collect()))
            }
            value => {
                let needs: BTreeMap<String, Need> =
                    serde_json::from_value(value).map_err(|error| D::Error::custom(error.to_string()))?;
                Ok(Self(needs.into_iter().map(|(name, need)| (name, need.condition)).collect()))
            }
        }
    }
}
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(yes.to_string()),
        _ => None,
    }
}
