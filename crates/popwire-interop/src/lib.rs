//! popwire-interop
