//! The gate as people run it: the built binary, on projects in temporary directories, against a real server.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod agreement;
mod alarms;
mod catalogue;
mod conduct;
mod down;
mod dry_run;
mod files;
mod indexes;
mod input;
mod lineage;
mod lint;
mod locks;
mod new;
mod outages;
mod policies;
mod prepared;
mod project;
mod projects;
mod provision;
mod queries;
mod rollback;
mod rows;
mod schema;
mod seal;
mod shapes;
mod snapshot;
mod waivers;
