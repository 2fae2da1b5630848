//! migration-gate.
