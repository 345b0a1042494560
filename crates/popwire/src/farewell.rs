//! How a session ended, and what that says about the deletions.

use popwire_proto::Reply;

use crate::Error;

/// The answer to QUIT.
///
/// DELE only marks; the server deletes when it enters the UPDATE state, and says with its answer to QUIT whether it did
/// (RFC 1939 section 6). Until then, and after anything but `Committed`, the messages may be there or gone: look at the
/// next listing before you fetch or delete again.
///
/// ```no_run
/// # fn end(client: popwire::blocking::Client) -> Result<(), popwire::Error> {
/// use popwire::Farewell;
///
/// match client.quit() {
///     Farewell::Committed { marked, .. } => println!("{marked} deleted"),
///     Farewell::Refused { reply, .. } => println!("some were not deleted: {reply}"),
///     Farewell::Unknown { error, .. } => println!("nobody knows: {error}"),
///     _ => {}
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "it says whether the deletions were done"]
#[non_exhaustive]
pub enum Farewell {
    /// The marked messages are deleted.
    Committed {
        /// How many were marked.
        marked: u64,
        /// The reply; `None` if there was nothing to delete, and it was not waited for or the server hung up without a
        /// word.
        reply: Option<Reply>,
    },
    /// The server said `-ERR`: some or all of the marked messages were not deleted.
    Refused {
        /// How many were marked.
        marked: u64,
        /// The reply.
        reply: Reply,
    },
    /// The answer did not come: the deletions may have been done or not.
    Unknown {
        /// How many were marked.
        marked: u64,
        /// Why the answer did not come.
        error: Error,
    },
}

impl Farewell {
    /// Whether all is well: what was marked is deleted, or nothing was marked.
    #[must_use]
    pub fn is_committed(&self) -> bool {
        matches!(self, Self::Committed { .. })
    }
}
