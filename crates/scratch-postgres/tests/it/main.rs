//! The providers and the program, on real servers and a real container engine.

mod container;
mod host;
mod local;
mod program;
mod url;
