//! popwire-retriever

pub mod maildir;
