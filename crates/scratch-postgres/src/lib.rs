//! scratch-postgres.
