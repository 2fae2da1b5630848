//! One release from a commit to production, as its tests tell it: they run the binaries of all services and tools.
