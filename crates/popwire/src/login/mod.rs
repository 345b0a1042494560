//! Who to be, and by which ways: what a caller says. `conversation` carries it out, `choice` has the order of the ways,
//! `verdict` reads refusals.

mod attempt;
mod choice;
mod conversation;
mod credentials;
mod mechanisms;
mod method;
mod verdict;

use std::sync::Arc;

use popwire_proto::Secret;
use popwire_proto::sasl::{ClientMechanism, Iterations, Mechanism};

use crate::error::Kind;
pub use attempt::Attempt;
pub(crate) use attempt::Resume;
pub(crate) use conversation::{LoggingIn, Worked, apop_command};
pub use credentials::Ask;
use credentials::{Credentials, Source};
pub use method::Method;
pub(crate) use verdict::{asks_for_patience, classify, lacks_command};

/// How many ways are tried at most, unless the caller says otherwise.
const ATTEMPTS: u32 = 4;

/// A name, what proves it, and the ways to show that.
///
/// With a password, the strongest way that the server offers is taken: SCRAM bound to the TLS session, SCRAM, PLAIN,
/// USER and PASS, LOGIN. Another way is tried only if one was refused before anything was proved by it, never after the
/// server has judged the password. [`methods`](Self::methods) names the ways instead; then no other is taken.
///
/// Nothing goes out over a connection without verified TLS, unless
/// [`dangerous_login_without_verified_tls`](crate::Connector::dangerous_login_without_verified_tls) says so.
///
/// ```
/// use popwire::{Login, Mechanism};
///
/// let login = Login::password("alice", "s3cret pass");
/// assert!(!format!("{login:?}").contains("s3cret"));
///
/// // Nothing else than this, also if the server claims not to know it
/// let strict = login.methods([Mechanism::ScramSha256Plus]);
/// # drop(strict);
/// ```
#[derive(Clone, Debug)]
pub struct Login {
    user: Vec<u8>,
    authzid: Vec<u8>,
    credentials: Credentials,
    /// What the provider gave before the connection was made.
    asked: Option<Secret>,
    /// In the caller's order; empty leaves the choice to us.
    methods: Vec<Method>,
    budget: u32,
    iterations: Iterations,
    latin1: bool,
    unannounced_utf8: bool,
    /// What was tried on a connection that the server closed over it.
    history: Vec<Attempt>,
    /// The methods among these that are not to be tried again.
    avoided: Vec<Method>,
    /// No initial responses: the server hung up on one.
    without_initial_response: bool,
    /// The provider has been asked for another token.
    refreshed: bool,
}

/// Who, and with what.
impl Login {
    /// A password.
    #[must_use]
    pub fn password(user: impl AsRef<[u8]>, password: impl Into<Secret>) -> Self {
        Self::new(user, Credentials::Password(Source::Known(password.into())))
    }

    /// A password that is asked for when it is needed.
    ///
    /// The async client calls the provider on a thread that may block.
    #[must_use]
    pub fn password_from<S, E, F>(user: impl AsRef<[u8]>, provider: F) -> Self
    where
        S: Into<Secret>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
        F: Fn(&Ask) -> Result<S, E> + Send + Sync + 'static,
    {
        Self::new(user, Credentials::Password(asked(provider)))
    }

    /// An OAuth 2 access token: by OAUTHBEARER (RFC 7628) or XOAUTH2, as the server offers. Where a server has one of
    /// them and does not say so, name it by [`methods`](Self::methods).
    ///
    /// A token goes out over TLS only, whatever the connector allows.
    #[must_use]
    pub fn token(user: impl AsRef<[u8]>, token: impl Into<Secret>) -> Self {
        Self::new(user, Credentials::Token(Source::Known(token.into())))
    }

    /// A token that is asked for when it is needed. If the server refuses it, the provider is asked once more, told what
    /// the server said, and a new token is tried once.
    ///
    /// The async client calls the provider on a thread that may block, so `Handle::block_on` is allowed there.
    ///
    /// ```
    /// use popwire::{Ask, Login};
    ///
    /// # fn cached_token() -> String { String::new() }
    /// # fn refresh() -> Result<String, std::io::Error> { Ok(String::new()) }
    /// let login = Login::token_from("alice@example.org", |ask: &Ask| match ask.refused {
    ///     None => Ok(cached_token()),
    ///     Some(_) => refresh(),
    /// });
    /// # drop(login);
    /// ```
    #[must_use]
    pub fn token_from<S, E, F>(user: impl AsRef<[u8]>, provider: F) -> Self
    where
        S: Into<Secret>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
        F: Fn(&Ask) -> Result<S, E> + Send + Sync + 'static,
    {
        Self::new(user, Credentials::Token(asked(provider)))
    }

    /// The client certificate, by EXTERNAL (RFC 4422 appendix A): see
    /// [`Tls::with_client_certificate`](crate::Tls::with_client_certificate). The name is the certificate's, unless
    /// [`acting_as`](Self::acting_as) gives another.
    #[must_use]
    pub fn external() -> Self {
        Self::new("", Credentials::Nothing).methods([Mechanism::External])
    }

    /// Nobody in particular, by ANONYMOUS (RFC 4505). The trace is a mail address, or a word, by which the server's owner
    /// may know the sender; it may be empty.
    #[must_use]
    pub fn anonymous(trace: impl Into<String>) -> Self {
        Self::new(trace.into(), Credentials::Nothing).methods([Mechanism::Anonymous])
    }

    /// A Kerberos ticket, by GSSAPI (RFC 4752): the one of the system's credentials cache. The name is the ticket's,
    /// unless [`acting_as`](Self::acting_as) gives another.
    #[cfg(feature = "gssapi")]
    #[must_use]
    pub fn gssapi() -> Self {
        Self::new("", Credentials::Nothing).methods([Mechanism::Gssapi])
    }

    /// APOP (RFC 1939 section 7): the secret itself stays here. It is never chosen unasked, since its digest is weak
    /// and it adds nothing under TLS.
    #[must_use]
    pub fn apop(user: impl AsRef<[u8]>, secret: impl Into<Secret>) -> Self {
        Self::password(user, secret).methods([Method::Apop])
    }

    /// RPOP (RFC 1081): a name without a proof. Only a server on a trusted wire could ever take it.
    #[must_use]
    pub fn rpop(user: impl AsRef<[u8]>) -> Self {
        Self::new(user, Credentials::Nothing).methods([Method::Rpop])
    }

    /// A mechanism of the caller's own; it is made anew for every attempt.
    ///
    /// ```
    /// use popwire::Login;
    /// use popwire::proto::sasl::Plain;
    ///
    /// let login = Login::custom(|| Box::new(Plain::new("alice", "s3cret")));
    /// # drop(login);
    /// ```
    #[must_use]
    pub fn custom<F>(make: F) -> Self
    where
        F: Fn() -> Box<dyn ClientMechanism> + Send + Sync + 'static,
    {
        Self::new("", Credentials::Custom(Arc::new(make))).methods([Method::Custom])
    }
}

/// How.
impl Login {
    /// The ways to log in, and no others, in this order: of several, those that the server announces. If it announces none
    /// of them they are tried all the same, since some servers do not announce what they have.
    #[must_use]
    pub fn methods<I>(mut self, methods: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Method>,
    {
        self.methods = methods.into_iter().map(Into::into).collect();
        self
    }

    /// Acts as this user, with the credentials of another (the authorization identity of RFC 4422 section 3.4.1). Only
    /// mechanisms that know the difference are chosen then.
    #[must_use]
    pub fn acting_as(mut self, authzid: impl AsRef<[u8]>) -> Self {
        self.authzid = authzid.as_ref().to_vec();
        self
    }

    /// Most attempts of this login, all ways and a refreshed token counted. Default 4; 0 counts as 1.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.budget = attempts.max(1);
        self
    }

    /// The bounds for the iteration count of SCRAM.
    #[must_use]
    pub fn iterations(mut self, iterations: Iterations) -> Self {
        self.iterations = iterations;
        self
    }

    /// Sends the password in Latin-1 (ISO 8859-1) instead of UTF-8, as it is given, for old servers. If it has other
    /// characters, the login fails and nothing is sent.
    #[must_use]
    pub fn latin1_password(mut self) -> Self {
        self.latin1 = true;
        self
    }

    /// Sends names and passwords that are not ASCII by USER, PASS and APOP even if the server does not say that it takes
    /// UTF-8 (RFC 6856 section 2.2 forbids it; many servers take it all the same).
    #[must_use]
    pub fn unannounced_utf8(mut self) -> Self {
        self.unannounced_utf8 = true;
        self
    }

    /// Asks the provider now, if there is one, for this server. The rest of the login then has an answer at once, and asks
    /// again only for a token that was refused.
    ///
    /// For providers that take their time, such as people: Exchange closes a connection on which nobody has logged in for
    /// a minute. `connect_and_login` of either client does this by itself.
    ///
    /// # Errors
    ///
    /// [`is_provider`](crate::Error::is_provider).
    pub fn ask(mut self, host: &str) -> crate::Result<Self> {
        if let Some(Source::Provider(provider)) = self.credentials.source() {
            let ask = Ask { user: self.user.clone(), host: host.to_owned(), refused: None };
            let secret = provider(&ask).map_err(|e| crate::Error::new(Kind::Provider(e)))?;
            self.asked = Some(secret);
        }
        Ok(self)
    }

    /// Whether there is a provider that was not asked yet.
    #[cfg(feature = "tokio")]
    pub(crate) fn has_to_ask(&self) -> bool {
        self.asked.is_none() && matches!(self.credentials.source(), Some(Source::Provider(_)))
    }

    /// How to go on over a new connection, after this login failed with this error: `None` if the matter is settled.
    ///
    /// Some servers close the connection over a way to log in that they do not take. This login then goes on with what
    /// is left, within its budget of attempts. `connect_and_login` of either client does all of it.
    #[must_use]
    pub fn after(&self, error: &crate::Error) -> Option<Self> {
        let (attempts, resume) = error.resume()?;
        let mut login = self.clone();
        login.history = attempts.to_vec();
        login.avoided.extend(resume.avoid);
        login.without_initial_response |= resume.without_initial_response;
        login.asked = resume.secret;
        login.refreshed = resume.refreshed;
        Some(login)
    }

    fn new(user: impl AsRef<[u8]>, credentials: Credentials) -> Self {
        Self {
            user: user.as_ref().to_vec(),
            authzid: Vec::new(),
            credentials,
            asked: None,
            methods: Vec::new(),
            budget: ATTEMPTS,
            iterations: Iterations::default(),
            latin1: false,
            unannounced_utf8: false,
            history: Vec::new(),
            avoided: Vec::new(),
            without_initial_response: false,
            refreshed: false,
        }
    }
}

fn asked<S, E, F>(provider: F) -> Source
where
    S: Into<Secret>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
    F: Fn(&Ask) -> Result<S, E> + Send + Sync + 'static,
{
    Source::Provider(Arc::new(move |ask: &Ask| provider(ask).map(Into::into).map_err(Into::into)))
}
