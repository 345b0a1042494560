//! How AUTH is described.

use popwire_proto::Secret;
use popwire_proto::sasl::Mechanism;
use popwire_proto::sasl::server::Fault;

use super::Builder;

/// AUTH (RFC 5034).
impl Builder {
    /// The SASL mechanisms that are offered, in this order. Default none: CAPA has no SASL, and AUTH is answered
    /// `-ERR`.
    ///
    /// What cannot be used is neither announced nor accepted: EXTERNAL if the client showed no certificate of
    /// [`Server::client_certificate`](crate::Server::client_certificate) within TLS, the -PLUS mechanisms without TLS,
    /// those that hand over secrets as [`Builder::require_tls`] says, and GSSAPI without the feature `gssapi`. With it, the
    /// system's Kerberos library serves, with the key of `pop@host` from the keytab that `KRB5_KTNAME` names.
    pub fn sasl(mut self, mechanisms: impl IntoIterator<Item = Mechanism>) -> Self {
        self.options.sasl.offered = mechanisms.into_iter().collect();
        self
    }

    /// Gives a user a token, for OAUTHBEARER and XOAUTH2. A user may have several. The user has to be added by
    /// [`Builder::user`] too.
    pub fn token(mut self, user: impl AsRef<[u8]>, token: impl AsRef<[u8]>) -> Self {
        self.options.sasl.tokens.push((user.as_ref().to_vec(), Secret::from(token.as_ref())));
        self
    }

    /// The user whose maildrop those get who log in by ANONYMOUS (RFC 4505). Default none: they are refused.
    pub fn anonymous(mut self, user: impl AsRef<[u8]>) -> Self {
        self.options.sasl.anonymous = Some(user.as_ref().to_vec());
        self
    }

    /// Lets `user` log in as `other` with his own credentials, by mechanisms that have an authorization identity (RFC
    /// 4422 section 2). Default: everybody is himself.
    pub fn acts_as(mut self, user: impl AsRef<[u8]>, other: impl AsRef<[u8]>) -> Self {
        self.options.sasl.acts_as.insert((user.as_ref().to_vec(), other.as_ref().to_vec()));
        self
    }

    /// How many iterations SCRAM asks for, and computes (RFC 5802 section 5.1). Default 4096.
    pub fn scram_iterations(mut self, iterations: u32) -> Self {
        self.options.sasl.iterations = iterations;
        self
    }
}

/// AUTH as some servers have it, or as one that means harm.
impl Builder {
    /// What goes wrong within the exchanges. Default nothing.
    pub fn sasl_fault(mut self, fault: Fault) -> Self {
        self.options.sasl.quirks.fault = Some(fault);
        self
    }

    /// Mechanisms that are accepted and not announced, as several servers do with XOAUTH2. Default none.
    pub fn sasl_hidden(mut self, mechanisms: impl IntoIterator<Item = Mechanism>) -> Self {
        self.options.sasl.hidden = mechanisms.into_iter().collect();
        self
    }

    /// The longest response, in octets of base64 without line end: a longer one is answered
    /// `-ERR Protocol error. 18`, and the connection is closed, as Exchange Online does beyond 4096. By default 65,534
    /// octets may come; more are answered `-ERR`, and the session goes on.
    pub fn auth_line_max(mut self, octets: usize) -> Self {
        self.options.sasl.quirks.line_max = Some(octets);
        self
    }

    /// Whether an AUTH line may have an initial response (RFC 5034 section 4). If not, it is answered
    /// `-ERR Protocol error. Connection is closed. 10`, and the connection is closed, as Exchange Online does. Default
    /// yes.
    pub fn one_line_auth(mut self, allowed: bool) -> Self {
        self.options.sasl.quirks.initial_in_line = allowed;
        self
    }

    /// Whether AUTH PLAIN without an initial response closes the connection without a word, as old Dovecot did. Default
    /// no.
    pub fn plain_only_in_one_line(mut self, only: bool) -> Self {
        self.options.sasl.quirks.plain_needs_initial = only;
        self
    }

    /// Whether a refused AUTH closes the connection, after its `-ERR`, as several servers do. Default no.
    pub fn close_after_refused_auth(mut self, close: bool) -> Self {
        self.options.sasl.quirks.close_after_refusal = close;
        self
    }

    /// Announces this mechanism, and refuses it whatever the client answers to the first challenge, without a word on
    /// the credentials: as Exchange does with NTLM and GSSAPI where they are not set up. GSSAPI's challenge is empty
    /// here. The mechanism is not needed in [`Builder::sasl`]; if it is not there, it is announced last.
    pub fn refuse_auth_midway(mut self, mechanism: Mechanism) -> Self {
        self.options.sasl.quirks.midway = Some(mechanism);
        self
    }

    /// Whether the empty challenge of AUTH NTLM is `+OK` in place of `+ `, as Exchange 2003 has it (MS-POP3).
    /// Default no.
    pub fn ntlm_says_ok(mut self, says: bool) -> Self {
        self.options.sasl.quirks.ntlm_says_ok = says;
        self
    }
}
