//! popwire-proto
