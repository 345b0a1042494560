//! popwire
