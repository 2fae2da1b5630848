//! Settings from the environment: one table per struct says name, default, unit and meaning of each.
//!
//! [`settings!`](crate::settings!) makes struct, table and reading out of the same lines, so none can say what another does not.
//! A variable that is set but empty, or names an empty file, counts as not set. All faults are told at once, not one per start.

mod kinds;

use std::collections::BTreeMap;
use std::fmt::Write as _;

pub use kinds::{
    Bytes, Count, DatabaseUrl, FromSetting, HeadBytes, LogFilter, Milliseconds, Seconds, Secret,
};

/// One line of a settings table.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The environment variable.
    pub name: &'static str,
    /// What holds when it is not set; `None` for a setting that must be set or may be left out.
    pub default: Option<&'static str>,
    /// What it may hold, with its unit: "a whole number of seconds".
    pub expected: &'static str,
    /// What it is for.
    pub what: &'static str,
    /// Whether it may be left out without a default.
    pub presence: Presence,
    /// Whether its value may be shown.
    pub exposure: Exposure,
}

/// Whether a setting without a default has to be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Without it the service does not start.
    Required,
    /// It may be left out.
    Optional,
}

/// Whether a setting's value may be shown in messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposure {
    /// Its value is repeated in messages.
    Shown,
    /// Its value is never shown, and it may be given as a file named by `NAME_FILE`.
    Secret,
}

/// A struct made by [`settings!`](crate::settings!).
pub trait Settings: Sized {
    /// Every setting of the struct, in its order.
    const TABLE: &'static [Setting];

    /// Reads the struct; `None` when the reader has noted at least one fault.
    fn read(reader: &mut Reader) -> Option<Self>;
}

/// Why a setting could not be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SettingError {
    #[error("`{name}` is not set, expected {expected}{}", or_file(.name, *.exposure))]
    Missing { name: &'static str, expected: &'static str, exposure: Exposure },
    #[error("`{name}` is `{value}`, expected {expected}{}", reason.as_deref().map(|it| format!(": {it}")).unwrap_or_default())]
    Malformed { name: &'static str, value: String, expected: &'static str, reason: Option<String> },
    #[error("`{name}` holds something else than {expected} (its value is secret and not shown)")]
    MalformedSecret { name: String, expected: &'static str },
    #[error("`{name}` is not UTF-8, expected {expected}")]
    NotText { name: String, expected: &'static str },
    #[error("`{name}` and `{name}_FILE` are both set, expected one of them")]
    Twice { name: &'static str },
    #[error("`{name}_FILE` names `{path}`, which cannot be read ({reason}), expected a readable file")]
    Unreadable { name: &'static str, path: String, reason: String },
}

/// Every fault of one reading.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct SettingsError(Vec<SettingError>);

/// Reads settings out of an environment and notes what is wrong with it.
#[derive(Debug)]
pub struct Reader {
    environment: BTreeMap<String, std::ffi::OsString>,
    defaults: &'static [(&'static str, &'static str)],
    faults: Vec<SettingError>,
}

/// Declares a settings struct with its table.
///
/// Each line is `/// what it is for`, then `field: Type = "VARIABLE", default "value";`. The type says unit and form
/// ([`FromSetting`]); without a default the variable must be set, unless the type is an `Option`.
#[macro_export]
macro_rules! settings {
    (
        $(#[doc = $about:literal])*
        $vis:vis struct $name:ident {
            $( $(#[doc = $what:literal])+ $field_vis:vis $field:ident : $type:ty
                = $variable:literal $(, default $default:literal)? ; )*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Debug, Clone)]
        $vis struct $name { $( $(#[doc = $what])+ $field_vis $field: $type, )* }

        impl $crate::settings::Settings for $name {
            const TABLE: &'static [$crate::settings::Setting] = &[ $(
                $crate::settings::Setting {
                    name: $variable,
                    default: $crate::settings!(@default $($default)?),
                    expected: <$type as $crate::settings::FromSetting>::EXPECTED,
                    what: concat!($($what),+),
                    presence: <$type as $crate::settings::FromSetting>::PRESENCE,
                    exposure: <$type as $crate::settings::FromSetting>::EXPOSURE,
                }
            ),* ];

            fn read(reader: &mut $crate::settings::Reader) -> Option<Self> {
                // Each is read before any is missed, so that all faults are noted.
                $( let $field = reader.get::<$type>($variable, $crate::settings!(@default $($default)?)); )*
                Some(Self { $( $field: $field? ),* })
            }
        }
    };
    (@default $default:literal) => { Some($default) };
    (@default) => { None };
}

impl Reader {
    /// A reader of this process's environment; `defaults` replace those of the tables.
    pub fn from_process(defaults: &'static [(&'static str, &'static str)]) -> Self {
        let environment =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        Self { environment: environment.collect(), defaults, faults: Vec::new() }
    }

    /// A reader of the variables given, for tests and tools.
    pub fn from_variables(variables: &[(&str, &str)]) -> Self {
        let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), value.into()));
        Self { environment: environment.collect(), defaults: &[], faults: Vec::new() }
    }

    /// Reads one setting; a fault is noted and told by [`Reader::finish`].
    pub fn get<T: FromSetting>(&mut self, name: &'static str, default: Option<&'static str>) -> Option<T> {
        match self.try_get(name, default) {
            Ok(value) => Some(value),
            Err(fault) => {
                self.faults.push(fault);
                None
            }
        }
    }

    /// The settings that were read, or every fault noted meanwhile.
    pub fn finish<T>(self, settings: Option<T>) -> Result<T, SettingsError> {
        match settings {
            Some(settings) if self.faults.is_empty() => Ok(settings),
            _ => Err(SettingsError(self.faults)),
        }
    }

    fn try_get<T: FromSetting>(
        &self,
        name: &'static str,
        default: Option<&'static str>,
    ) -> Result<T, SettingError> {
        if let Some(value) = self.given::<T>(name)? {
            return T::from_setting(&value).ok_or_else(|| match T::EXPOSURE {
                Exposure::Shown => {
                    let reason = T::reason(&value);
                    SettingError::Malformed { name, value: masked(&value), expected: T::EXPECTED, reason }
                }
                Exposure::Secret => {
                    SettingError::MalformedSecret { name: name.to_owned(), expected: T::EXPECTED }
                }
            });
        }
        default_of(self.defaults, name, default)
            .map_or_else(T::absent, T::from_setting)
            .ok_or(SettingError::Missing { name, expected: T::EXPECTED, exposure: T::EXPOSURE })
    }

    /// What the environment says, directly or, for a secret, in the file that it names.
    fn given<T: FromSetting>(&self, name: &'static str) -> Result<Option<String>, SettingError> {
        let direct = self.variable(name, T::EXPECTED)?;
        if T::EXPOSURE == Exposure::Shown {
            return Ok(direct);
        }
        match (direct, self.variable(&format!("{name}_FILE"), "a path")?) {
            (Some(_), Some(_)) => Err(SettingError::Twice { name }),
            (direct, None) => Ok(direct),
            (None, Some(path)) => match std::fs::read_to_string(&path) {
                // As with a variable, empty counts as not set.
                Ok(text) => {
                    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()).filter(|it| !it.is_empty()))
                }
                Err(error) => Err(SettingError::Unreadable { name, path, reason: error.kind().to_string() }),
            },
        }
    }

    fn variable(&self, name: &str, expected: &'static str) -> Result<Option<String>, SettingError> {
        match self.environment.get(name).map(|value| value.to_str()) {
            None | Some(Some("")) => Ok(None),
            Some(Some(value)) => Ok(Some(value.to_owned())),
            Some(None) => Err(SettingError::NotText { name: name.to_owned(), expected }),
        }
    }
}

/// The tables as text, for `--help`.
pub fn describe(tables: &[&[Setting]], defaults: &'static [(&'static str, &'static str)]) -> String {
    let mut text = String::new();
    for setting in tables.iter().copied().flatten() {
        let value = match (default_of(defaults, setting.name, setting.default), setting.presence) {
            (Some(default), _) => format!("default `{default}`"),
            (None, Presence::Required) => "required".to_owned(),
            (None, Presence::Optional) => "optional".to_owned(),
        };
        let file = if setting.exposure == Exposure::Secret { ", or a file named by " } else { "" };
        let file_name = if file.is_empty() { String::new() } else { format!("{}_FILE", setting.name) };
        // Writing to a String cannot fail.
        let _infallible = writeln!(
            text,
            "  {}\n      {} ({}{file}{file_name}; {value})",
            setting.name,
            setting.what.trim(),
            setting.expected
        );
    }
    text
}

/// The value without what stands where a URL has name and password, should there be one after all.
fn masked(value: &str) -> String {
    match value.rsplit_once('@') {
        Some((before, after)) => {
            let scheme = before.split_once("://").map_or(String::new(), |(scheme, _)| format!("{scheme}://"));
            format!("{scheme}[secret]@{after}")
        }
        None => value.to_owned(),
    }
}

fn default_of(
    replaced: &'static [(&'static str, &'static str)],
    name: &str,
    table: Option<&'static str>,
) -> Option<&'static str> {
    replaced.iter().find(|(replaced, _)| *replaced == name).map_or(table, |(_, default)| Some(default))
}

fn or_file(name: &str, exposure: Exposure) -> String {
    match exposure {
        Exposure::Shown => String::new(),
        Exposure::Secret => format!("; or name a file that holds it in `{name}_FILE`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::settings! {
        /// Settings of a service that does not exist.
        struct Sample {
            /// How long to wait.
            wait: Seconds = "WAIT_S", default "5";
            /// Where the record is.
            database: DatabaseUrl = "DATABASE_URL";
            /// A nickname.
            nickname: Option<String> = "NICKNAME";
        }
    }

    fn read(variables: &[(&str, &str)]) -> Result<Sample, SettingsError> {
        let mut reader = Reader::from_variables(variables);
        let sample = Sample::read(&mut reader);
        reader.finish(sample)
    }

    #[test]
    fn defaults_hold_and_an_empty_variable_counts_as_not_set() {
        let sample = read(&[("DATABASE_URL", "postgres://app@db/slipway"), ("WAIT_S", "")]).unwrap();
        assert_eq!((sample.wait.0.as_secs(), sample.nickname), (5, None));
    }

    #[test]
    fn every_fault_is_told_at_once_and_no_secret_is_shown() {
        let error = read(&[("WAIT_S", "soon"), ("DATABASE_URL", "mysql://root:hunter2@db")]).unwrap_err();
        insta::assert_snapshot!(error, @r"
        `WAIT_S` is `soon`, expected a whole number of seconds
        `DATABASE_URL` holds something else than a `postgres://` URL (its value is secret and not shown)
        ");
    }

    #[test]
    fn a_password_in_a_url_that_should_have_none_is_not_shown() {
        let mut reader = Reader::from_variables(&[("UP", "http://root:hunter2@control:8001")]);
        let read = reader.get::<crate::forward::Upstream>("UP", None);
        insta::assert_snapshot!(reader.finish(read).unwrap_err(), @"`UP` is `http://[secret]@control:8001`, expected an `http://` URL without path such as `http://127.0.0.1:8001`");
    }

    #[test]
    fn a_missing_secret_says_both_ways_to_give_it() {
        insta::assert_snapshot!(read(&[]).unwrap_err(), @"`DATABASE_URL` is not set, expected a `postgres://` URL; or name a file that holds it in `DATABASE_URL_FILE`");
    }

    #[test]
    fn a_secret_can_come_from_a_file_but_not_from_both() {
        let path = std::env::temp_dir().join(format!("service-settings-{}", std::process::id()));
        std::fs::write(&path, "postgres://app:hunter2@db/slipway\n").unwrap();
        let file = path.to_str().unwrap();

        let sample = read(&[("DATABASE_URL_FILE", file)]).unwrap();
        assert_eq!(sample.database.expose(), "postgres://app:hunter2@db/slipway");
        assert!(!format!("{sample:?}").contains("hunter2"));

        let both = read(&[("DATABASE_URL_FILE", file), ("DATABASE_URL", "postgres://db")]).unwrap_err();
        insta::assert_snapshot!(both, @"`DATABASE_URL` and `DATABASE_URL_FILE` are both set, expected one of them");
        std::fs::remove_file(&path).unwrap();
        let gone = read(&[("DATABASE_URL_FILE", "/nowhere/url")]).unwrap_err();
        insta::assert_snapshot!(gone, @"`DATABASE_URL_FILE` names `/nowhere/url`, which cannot be read (entity not found), expected a readable file");
    }

    #[test]
    fn the_table_says_default_unit_and_meaning() {
        insta::assert_snapshot!(describe(&[Sample::TABLE], &[("WAIT_S", "7")]), @r"
          WAIT_S
              How long to wait. (a whole number of seconds; default `7`)
          DATABASE_URL
              Where the record is. (a `postgres://` URL, or a file named by DATABASE_URL_FILE; required)
          NICKNAME
              A nickname. (text; optional)
        ");
    }
}
