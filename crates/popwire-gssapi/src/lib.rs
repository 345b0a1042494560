//! Kerberos 5 for popwire: the SASL mechanism GSSAPI (RFC 4752), by the system's own library.
//!
//! The library (MIT Kerberos, Heimdal, or Apple's framework) is loaded when a [`Gssapi`] is first made, not when the
//! program starts: a program that offers Kerberos also runs where there is none, and [`Gssapi::new`] fails there with an
//! [`Error`] that says so. Nothing is needed to build it.
//!
//! Tickets are the system's affair. The default credentials are used: those of the cache that `kinit` filled, or that
//! `KRB5CCNAME` names, or, with MIT Kerberos, those got with the keys that `KRB5_CLIENT_KTNAME` names. The library also
//! decides, by `krb5.conf`, whether the host's name is looked up in the DNS first; `dns_canonicalize_hostname = false` and
//! `rdns = false` there keep a forged answer from choosing another service.
//!
//! Unsafe code, which calling C takes, is in one module, with the reasons why it is sound.

mod acceptor;
mod ffi;

pub use acceptor::Acceptor;

use std::{fmt, mem};

use popwire_proto::{
    Secret,
    sasl::{ClientMechanism, Error, Start},
};

use ffi::{Context, Name};

/// "No security layer": the only one that is chosen here, since TLS is the one that POP3 has (RFC 4752 section 3.3).
const NO_LAYER: u8 = 1;

/// The client's half of GSSAPI with Kerberos 5 (RFC 4752).
///
/// No password is needed or sent, and the server proves that it is what it says: it has the key of `pop@host`
/// (RFC 5034 section 6). [`start`](ClientMechanism::start) asks the KDC for a ticket, which may take long.
///
/// ```no_run
/// use popwire_gssapi::Gssapi;
/// use popwire_proto::sasl::{ClientMechanism as _, Start};
///
/// let mut gssapi = Gssapi::new("pop.example.org")?;
/// // The cache has no ticket, or the KDC does not know pop/pop.example.org: an error, and nothing was sent.
/// let Start::ClientFirst(token) = gssapi.start()? else { unreachable!() };
/// # Ok::<(), popwire_proto::sasl::Error>(())
/// ```
pub struct Gssapi {
    host: String,
    authzid: String,
    state: State,
    /// The first token went out, which has the ticket in it.
    proved: bool,
}

enum State {
    Fresh,
    /// The server's next token belongs to the negotiation.
    Negotiating(Context),
    /// The server's next message offers security layers.
    Choosing(Context),
    Done,
    Failed,
}

impl Gssapi {
    /// Logs in to the service `pop` on `host`, as whoever the default credentials belong to. The host's name is that
    /// which the user gave, as for TLS: an address will hardly do.
    ///
    /// # Errors
    ///
    /// - [`Error::Other`] if the system has no Kerberos library: it says what to install.
    /// - [`Error::EmptyName`] or [`Error::ForbiddenCharacter`] if `host` cannot be a host.
    pub fn new(host: impl AsRef<str>) -> Result<Self, Error> {
        let host = host.as_ref();
        // With the dot at its end it is the same host, but another principal.
        let host = host.strip_suffix('.').unwrap_or(host);
        if host.is_empty() {
            return Err(Error::EmptyName);
        }
        if host.contains(|c: char| c.is_control() || c.is_whitespace() || matches!(c, '@' | '/' | '\\')) {
            return Err(Error::ForbiddenCharacter);
        }
        ffi::is_there()?;
        Ok(Self { host: host.to_owned(), authzid: String::new(), state: State::Fresh, proved: false })
    }

    /// Acts as somebody else, or names the mailbox where the server cannot tell it from the principal (RFC 4752
    /// section 3.1).
    ///
    /// ```no_run
    /// # use popwire_gssapi::Gssapi;
    /// let gssapi = Gssapi::new("pop.example.org")?.acting_as("postmaster");
    /// # Ok::<(), popwire_proto::sasl::Error>(())
    /// ```
    #[must_use]
    pub fn acting_as(mut self, authzid: impl Into<String>) -> Self {
        self.authzid = authzid.into();
        self
    }

    /// A token of the server's. Whatever it leads to, the response is not the last.
    fn negotiate(&mut self, mut context: Context, token: &[u8]) -> Result<Secret, Error> {
        if !is_framed(token) {
            return Err(Error::BadChallenge("it is no Kerberos token"));
        }
        let step = context.step(token)?;
        if !step.complete && step.token.is_empty() {
            return Err(Error::BadChallenge("it leads to no token of ours"));
        }
        self.state = if step.complete { State::Choosing(context) } else { State::Negotiating(context) };
        Ok(step.token)
    }

    /// The security layers that the server offers, and our choice (RFC 4752 section 3.1).
    fn choose(&mut self, mut context: Context, wrapped: &[u8]) -> Result<Secret, Error> {
        let offer = context.unwrap(wrapped)?;
        let answer = choice(offer.expose(), &self.authzid)?;
        let answer = context.wrap(answer.expose())?;
        self.state = State::Done;
        Ok(answer)
    }
}

/// Whether it has the frame of a token that may follow our first: an AP-REP or an error, of Kerberos (RFC 4121
/// section 4.1). MIT's library takes nothing else either; Heimdal 7.8 crashes on what is framed otherwise, and a server
/// must not have that in its hand.
fn is_framed(token: &[u8]) -> bool {
    framed(token).is_some_and(|body| matches!(body, [2 | 3, 0, _, ..]))
}

/// What is in the frame of a Kerberos token: its kind, in two octets, and the rest.
fn framed(token: &[u8]) -> Option<&[u8]> {
    let (length, content) = match token {
        [0x60, length @ ..=0x7f, content @ ..] => (usize::from(*length), content),
        [0x60, 0x81, length, content @ ..] => (usize::from(*length), content),
        [0x60, 0x82, high, low, content @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), content),
        // No line of AUTH has room for one of more than 64 KiB.
        _ => return None,
    };
    let body = content.strip_prefix(b"\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02");
    body.filter(|_| length == content.len())
}

/// The answer to an offer of security layers, before it is wrapped (RFC 4752 sections 3.1 and 3.3).
fn choice(offer: &[u8], authzid: &str) -> Result<Secret, Error> {
    // The other three are the longest message that the server would take in a layer: of no matter without one.
    let &[layers, _, _, _] = offer else {
        return Err(Error::BadChallenge("the offer of security layers is not four octets"));
    };
    if layers & NO_LAYER == 0 {
        return Err(Error::Other(
            "the server insists on a security layer of Kerberos, and only TLS is known here".to_owned(),
        ));
    }
    let mut answer = Vec::with_capacity(4 + authzid.len());
    answer.extend_from_slice(&[NO_LAYER, 0, 0, 0]);
    answer.extend_from_slice(authzid.as_bytes());
    Ok(answer.into())
}

impl ClientMechanism for Gssapi {
    fn name(&self) -> &str {
        "GSSAPI"
    }

    fn start(&mut self) -> Result<Start, Error> {
        if !matches!(mem::replace(&mut self.state, State::Failed), State::Fresh) {
            return Err(Error::UnexpectedChallenge);
        }
        // No NUL may be in an authorization identity (RFC 4422 section 3.4.1).
        if self.authzid.contains('\0') {
            return Err(Error::ForbiddenCharacter);
        }
        let mut context = Context::new(Name::of_service(&format!("pop@{}", self.host))?);
        let step = context.step(&[])?;
        // It waits for the server's proof, so it cannot be complete.
        if step.complete || step.token.is_empty() {
            return Err(Error::Other("Kerberos: the library asks for no proof of the server".to_owned()));
        }
        self.state = State::Negotiating(context);
        self.proved = true;
        Ok(Start::ClientFirst(step.token))
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Secret, Error> {
        // Unless it comes to a good end: after an error nothing more is done with the context.
        match mem::replace(&mut self.state, State::Failed) {
            State::Negotiating(context) => self.negotiate(context, challenge),
            State::Choosing(context) => self.choose(context, challenge),
            State::Fresh | State::Done | State::Failed => Err(Error::UnexpectedChallenge),
        }
    }

    fn has_proved(&self) -> bool {
        self.proved
    }

    fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// It asks the KDC, over the network.
    fn may_block(&self) -> bool {
        true
    }
}

impl fmt::Debug for Gssapi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Fresh => "fresh",
            State::Negotiating(_) => "negotiating",
            State::Choosing(_) => "choosing",
            State::Done => "done",
            State::Failed => "failed",
        };
        let mut debug = f.debug_struct("Gssapi");
        debug.field("host", &self.host).field("authzid", &self.authzid).field("state", &state).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_layer_is_chosen_where_it_is_offered() {
        for offer in [[1, 0, 0, 0], [1, 0xff, 0xff, 0xff], [7, 0, 0x10, 0], [0xff; 4]] {
            assert_eq!(choice(&offer, "").unwrap().expose(), [1, 0, 0, 0]);
        }
        assert_eq!(choice(&[1, 0, 0, 0], "bj\u{f6}rn").unwrap().expose(), b"\x01\0\0\0bj\xc3\xb6rn");
    }

    #[test]
    fn a_server_that_insists_on_a_layer_is_refused() {
        for layers in [0, 2, 4, 6, 0xfe] {
            let why = choice(&[layers, 0, 0x10, 0], "").unwrap_err();
            assert!(why.to_string().contains("security layer"), "{why}");
        }
        for offer in [&[][..], &[1], &[1, 0, 0], &[1, 0, 0, 0, 0]] {
            assert!(matches!(choice(offer, ""), Err(Error::BadChallenge(_))));
        }
    }

    #[test]
    fn a_token_has_a_frame() {
        let framed = |id: [u8; 2], body: &[u8]| {
            let content = [b"\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02", &id[..], body].concat();
            let length = content.len();
            let head = match length {
                ..0x80 => vec![0x60, length as u8],
                0x80..0x100 => vec![0x60, 0x81, length as u8],
                _ => vec![0x60, 0x82, (length >> 8) as u8, length as u8],
            };
            [head, content].concat()
        };
        for length in [1, 114, 115, 242, 243, 60_000] {
            assert!(is_framed(&framed([2, 0], &vec![b'x'; length])), "{length}");
        }
        assert!(is_framed(&framed([3, 0], b"x")));
        let right = framed([2, 0], b"xyz");
        for cut in 0..right.len() {
            assert!(!is_framed(&right[..cut]), "{cut}");
        }
        let more = [&right[..], b"x"].concat();
        let mut mechanism = right.clone();
        mechanism[12] = 3;
        // None, another kind, more than the frame says, another mechanism, no length, and one of five octets
        for wrong in [framed([2, 0], b""), framed([1, 0], b"x"), framed([2, 1], b"x"), more, mechanism] {
            assert!(!is_framed(&wrong), "{wrong:x?}");
        }
        for wrong in [&b"\x60\x80\0\0"[..], b"\x60\x85\0\0\0\0\0", b"\x60\x84\xff\xff\xff\xff\x06"] {
            assert!(!is_framed(wrong), "{wrong:x?}");
        }
    }

    #[test]
    fn a_host_has_to_be_one() {
        for host in ["", "."] {
            assert_eq!(Gssapi::new(host).err(), Some(Error::EmptyName));
        }
        for host in ["a@b", "a/b", "a b", "a\0", "a\r\nb", "a\\b"] {
            assert_eq!(Gssapi::new(host).err(), Some(Error::ForbiddenCharacter), "{host:?}");
        }
        assert_eq!(Gssapi::new("pop.example.org.").unwrap().host, "pop.example.org");
    }

    #[test]
    fn out_of_turn_nothing_is_done() {
        let mut gssapi = Gssapi::new("localhost").unwrap();
        assert_eq!(gssapi.respond(b"").unwrap_err(), Error::UnexpectedChallenge);
        assert_eq!(gssapi.start().unwrap_err(), Error::UnexpectedChallenge);
        assert!(!gssapi.has_proved() && !gssapi.is_done());
    }

    #[test]
    fn an_authorization_identity_has_no_nul() {
        let mut gssapi = Gssapi::new("localhost").unwrap().acting_as("alice\0bob");
        assert_eq!(gssapi.start().unwrap_err(), Error::ForbiddenCharacter);
        assert!(!gssapi.has_proved());
    }

    #[test]
    fn it_may_be_sent_to_another_thread() {
        fn may<T: Send>() {}
        may::<Gssapi>();
    }
}
