//! What a run control file says, entry by entry.

/// What the file says.
#[derive(Clone, Debug, Default)]
pub(super) struct RunControl {
    /// `set idfile`
    pub(super) idfile: Option<String>,
    /// `set daemon`, in seconds.
    pub(super) daemon: Option<u64>,
    /// A server with one user each.
    pub(super) entries: Vec<Entry>,
    /// Global options without a counterpart.
    pub(super) notes: Vec<Note>,
}

/// An option that has to be told about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) line: usize,
    pub(super) option: String,
    pub(super) why: &'static str,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    pub(super) line: usize,
    pub(super) server: Server,
    pub(super) user: User,
    pub(super) notes: Vec<Note>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Server {
    pub(super) name: String,
    pub(super) skip: bool,
    pub(super) via: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) service: Option<String>,
    pub(super) interval: Option<u64>,
    pub(super) auth: Option<String>,
    pub(super) timeout: Option<u64>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct User {
    pub(super) remote: Option<String>,
    pub(super) password: Option<Vec<u8>>,
    pub(super) passwordfile: Option<String>,
    /// Names here; `*` among them means all others.
    pub(super) locals: Vec<String>,
    /// Whether mail is handed out by the addresses in it.
    pub(super) multidrop: bool,
    pub(super) smtp: Vec<String>,
    pub(super) lmtp: bool,
    pub(super) smtpname: Option<String>,
    pub(super) smtpaddress: Option<String>,
    pub(super) mda: Option<String>,
    pub(super) bsmtp: Option<String>,
    pub(super) keep: Option<bool>,
    pub(super) flush: Option<bool>,
    pub(super) fetchall: Option<bool>,
    pub(super) limit: Option<u64>,
    pub(super) limitflush: Option<bool>,
    pub(super) fetchlimit: Option<u64>,
    pub(super) expunge: Option<u64>,
    pub(super) ssl: Option<bool>,
    pub(super) sslproto: Option<String>,
    pub(super) sslcertck: Option<bool>,
    pub(super) sslcertfile: Option<String>,
    pub(super) sslcert: Option<String>,
    pub(super) sslkey: Option<String>,
}

impl Entry {
    /// Takes from the `defaults` what is not said here.
    pub(super) fn complete(&mut self, defaults: &Entry) {
        macro_rules! complete {
            ($($part:ident: $($field:ident)+;)+) => {
                $($(
                    if self.$part.$field.is_none() {
                        self.$part.$field.clone_from(&defaults.$part.$field);
                    }
                )+)+
            };
        }
        complete! {
            server: via protocol service interval auth timeout;
            user: remote password passwordfile smtpname smtpaddress mda bsmtp keep flush fetchall limit limitflush
                fetchlimit expunge ssl sslproto sslcertck sslcertfile sslcert sslkey;
        }
        self.user.locals.extend(defaults.user.locals.iter().cloned());
        self.user.smtp.extend(defaults.user.smtp.iter().cloned());
        self.user.multidrop |= defaults.user.multidrop;
        self.user.lmtp |= defaults.user.lmtp;
        self.server.skip |= defaults.server.skip;
        let inherited = defaults.notes.iter().filter(|note| !self.notes.contains(note)).cloned();
        let inherited: Vec<_> = inherited.collect();
        self.notes.extend(inherited);
    }
}
