//! popwire-retriever
