//! popwire-server
