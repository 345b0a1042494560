//! How far a probe goes, and how long it may take.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

type Hook = Arc<dyn Fn(&str) + Send + Sync>;

/// How far a probe goes, and how long it may take.
///
/// ```
/// use popwire::probe::ProbeOptions;
///
/// let options = ProbeOptions::new().retr(true).on_step(|doing| eprintln!("{doing} ..."));
/// # drop(options);
/// ```
#[derive(Clone)]
pub struct ProbeOptions {
    pub(crate) retr: bool,
    pub(crate) time: Duration,
    pub(crate) patience: Duration,
    pub(crate) slow: Duration,
    hook: Option<Hook>,
}

impl ProbeOptions {
    /// No RETR; five minutes for all of it.
    #[must_use]
    pub fn new() -> Self {
        let s = Duration::from_secs;
        Self { retr: false, time: s(300), patience: s(5), slow: s(20), hook: None }
    }

    /// Whether the smallest message is read by RETR too, which marks it as seen. Default no.
    #[must_use]
    pub fn retr(mut self, retr: bool) -> Self {
        self.retr = retr;
        self
    }

    /// The time for everything, new connections included. What is not done then is left out. Default five minutes; the
    /// deadlines of the [`Connector`](crate::Connector) hold for the single waits.
    #[must_use]
    pub fn time(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }

    /// How long a server may be silent after commands that came in one write before they are taken for lost. Default 5 s.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// From which time on a login, or the wait for a message, is told as slow. Default 20 s.
    #[must_use]
    pub fn slow(mut self, slow: Duration) -> Self {
        self.slow = slow;
        self
    }

    /// Calls the hook before each step with a few words on it, such as `signing in`.
    #[must_use]
    pub fn on_step(mut self, hook: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.hook = Some(Arc::new(hook));
        self
    }

    pub(super) fn tell(&self, doing: &str) {
        if let Some(hook) = &self.hook {
            hook(doing);
        }
    }
}

impl Default for ProbeOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ProbeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { retr, time, patience, slow, hook: _ } = self;
        f.debug_struct("ProbeOptions")
            .field("retr", retr)
            .field("time", time)
            .field("patience", patience)
            .field("slow", slow)
            .finish_non_exhaustive()
    }
}
