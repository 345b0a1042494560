//! A Dovecot of one's own: on loopback, on free ports, with mail in it, and gone when the test is.
//!
//! A start takes about half a second, so each test may have its own; [`Dovecot::shared`] is for tests that only look.

use std::{
    collections::HashMap,
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{Error, Result, corpus::Corpus, guard::Guard, process, testdata};

/// What the server is to be. The default: every mechanism, no mail.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Which of the three characters it has.
    pub variant: Variant,
    /// The mail of alice.
    pub alice: Mail,
    /// The mail of bob.
    pub bob: Mail,
    /// `pop3_uidl_format`, such as `%g`, `%f`, `%v-%u`; `%f%f%f` makes UIDLs longer than the 70 octets of the RFC.
    pub uidl_format: Option<String>,
    /// Refuse TLS clients that do not show the certificate of alice.
    pub require_client_cert: bool,
    /// Seconds before a refused login is answered.
    pub auth_failure_delay: u32,
    /// More lines of `dovecot.conf`.
    pub extra_conf: String,
}

/// The characters of the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Variant {
    /// Every mechanism, session lock, LAST.
    #[default]
    Default,
    /// Old workarounds on, QUIT hides and expunges nothing, UIDL is the GUID of the file, no session lock, PLAIN and
    /// LOGIN only.
    Quirks,
    /// No login of any kind before STLS; listens on 127.0.0.2, since Dovecot trusts clients of its own address.
    TlsOnly,
}

/// The mail of one user.
#[derive(Clone, Debug, Default)]
pub enum Mail {
    /// None.
    #[default]
    None,
    /// The `.eml` files of a folder; message N is the Nth by name.
    Folder(PathBuf),
    /// These messages in this order.
    Messages(Vec<Vec<u8>>),
}

impl Mail {
    /// The awkward messages of `testdata/messages`.
    #[must_use]
    pub fn awkward() -> Mail {
        Mail::Folder(crate::awkward::folder())
    }
}

impl From<&Corpus> for Mail {
    fn from(corpus: &Corpus) -> Mail {
        Mail::Folder(corpus.folder().to_path_buf())
    }
}

/// A running server; it stops when this is dropped, or when the process ends in whatever way.
#[derive(Debug)]
pub struct Dovecot {
    folder: PathBuf,
    facts: HashMap<String, String>,
    /// The address it listens on: 127.0.0.1, or 127.0.0.2 with [`Variant::TlsOnly`]. The certificate is good for both,
    /// and for `localhost`.
    pub host: String,
    /// The port of POP3 with STLS.
    pub port: u16,
    /// The port of POP3 inside TLS.
    pub tls_port: u16,
    /// The process of its master.
    pub pid: u32,
    /// How many messages alice has.
    pub messages: usize,
    guard: Guard,
}

/// A user and the password.
pub type User = (&'static str, &'static str);

impl Dovecot {
    /// The user with mail and every mechanism. The blank in the password is there to find out who splits at blanks.
    pub const ALICE: User = ("alice", "s3cret pass");
    /// The other user.
    pub const BOB: User = ("bob", "bobpass");

    /// Start a server.
    ///
    /// # Errors
    ///
    /// When Dovecot is not installed and we are not root to install it, or when it does not come up.
    pub fn start(options: &Options) -> Result<Dovecot> {
        // Another process may take the free port that the script found, before Dovecot binds it.
        let taken = |error: &Error| error.to_string().contains("Address already in use");
        let mut tries = 1;
        loop {
            match Dovecot::start_once(options) {
                Err(error) if taken(&error) && tries < 5 => tries += 1,
                done => return done,
            }
        }
    }

    /// A server with the awkward messages for alice and none for bob, one for all tests of this process. It stops when
    /// the process ends. Only for tests that neither delete nor mind others' sessions: a mailbox is locked while a
    /// session has it.
    ///
    /// # Errors
    ///
    /// As [`Dovecot::start`].
    pub fn shared() -> Result<&'static Dovecot> {
        static SHARED: OnceLock<Result<Dovecot>> = OnceLock::new();
        let options = || Options { alice: Mail::awkward(), ..Options::default() };
        SHARED.get_or_init(|| Dovecot::start(&options())).as_ref().map_err(Clone::clone)
    }

    /// "host:port" of POP3 with STLS.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// "host:port" of POP3 inside TLS.
    #[must_use]
    pub fn tls_address(&self) -> String {
        format!("{}:{}", self.host, self.tls_port)
    }

    /// The certificate, PEM, of the authority that signed the server's.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.fact("CA").into()
    }

    /// The certificate of alice, PEM, for EXTERNAL.
    #[must_use]
    pub fn client_cert(&self) -> PathBuf {
        self.fact("CLIENT_CERT").into()
    }

    /// The key to [`client_cert`](Dovecot::client_cert), PEM.
    #[must_use]
    pub fn client_key(&self) -> PathBuf {
        self.fact("CLIENT_KEY").into()
    }

    /// A token of alice for XOAUTH2 and OAUTHBEARER, signed with HMAC.
    #[must_use]
    pub fn token(&self) -> &str {
        self.fact("TOKEN_HS256")
    }

    /// A token of alice signed with RSA: longer.
    #[must_use]
    pub fn token_rsa(&self) -> &str {
        self.fact("TOKEN_RS256")
    }

    /// A token of alice that has expired.
    #[must_use]
    pub fn token_expired(&self) -> &str {
        self.fact("TOKEN_EXPIRED")
    }

    /// A token of bob.
    #[must_use]
    pub fn token_bob(&self) -> &str {
        self.fact("TOKEN_BOB")
    }

    /// Any of the KEY=VALUE lines of `testdata/servers/dovecot.sh`; empty where it printed none.
    #[must_use]
    pub fn fact(&self, key: &str) -> &str {
        self.facts.get(key).map_or("", String::as_str)
    }

    /// The Maildir of a user.
    #[must_use]
    pub fn maildir(&self, user: &str) -> PathBuf {
        self.server_folder().join("mail").join(user).join("Maildir")
    }

    /// Put a message into the mailbox of a user; sessions that are open do not see it, those that follow do.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn add_mail(&self, user: &str, message: &[u8]) -> Result<()> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let maildir = self.maildir(user);
        // Later than the mail that was there at the start, so that it is listed after it.
        let name = format!("1800000000.M{:06}P2.localhost", COUNT.fetch_add(1, Ordering::Relaxed));
        let (tmp, new) = (maildir.join("tmp").join(&name), maildir.join("new").join(&name));
        fs::write(&tmp, message)
            .and_then(|()| fs::metadata(&maildir))
            .and_then(|owner| chown(&tmp, Some(owner.uid()), Some(owner.gid())))
            .and_then(|()| fs::rename(&tmp, &new))
            .map_err(Error::io("cannot deliver into", &maildir))
    }

    /// What Dovecot logged so far.
    ///
    /// # Errors
    ///
    /// When the log cannot be read.
    pub fn log(&self) -> Result<String> {
        let log = self.server_folder().join("log");
        fs::read_to_string(&log).map_err(Error::io("cannot read", &log))
    }

    /// Whether the master still runs.
    #[must_use]
    pub fn runs(&self) -> bool {
        process::runs(self.pid)
    }

    /// Stop the server now, end its sessions and remove its files; a test drops it instead unless it wants the error.
    ///
    /// # Errors
    ///
    /// When it still runs.
    pub fn stop(mut self) -> Result<()> {
        self.guard.release();
        if self.runs() { Err(Error::new(format!("dovecot {} did not stop", self.pid))) } else { Ok(()) }
    }

    fn start_once(options: &Options) -> Result<Dovecot> {
        let script = testdata().join("servers/dovecot.sh");
        // The server runs as nobody when we are root, and must reach its files: not below a home or a checkout.
        let folder = tempfile::Builder::new()
            .prefix("popwire-dovecot-")
            .permissions(Permissions::from_mode(0o755))
            .tempdir_in("/var/tmp")
            .map_err(Error::io("cannot create a folder in", Path::new("/var/tmp")))?;
        let alice = lay_out(&options.alice, &folder.path().join("alice"))?;
        let bob = lay_out(&options.bob, &folder.path().join("bob"))?;
        let guard = Guard::set(&script, folder.path())?;
        let folder = folder.keep();

        let mut start = Command::new(&script);
        start.arg("start").arg(folder.join("server")).arg(alice).env("BOB_EMLDIR", bob).stdin(Stdio::null());
        // What a caller's environment happens to hold under these names is not meant for the script.
        for name in ["PORT", "TLS_PORT", "STLS_PORT", "UIDL_FORMAT", "CLIENT_CERT"] {
            start.env_remove(name);
        }
        let variant = match options.variant {
            Variant::Default => "default",
            Variant::Quirks => "quirks",
            Variant::TlsOnly => "tlsonly",
        };
        start.env("VARIANT", variant).env("EXTRA_CONF", &options.extra_conf);
        start.env("AUTH_FAILURE_DELAY", options.auth_failure_delay.to_string());
        if let Some(format) = &options.uidl_format {
            start.env("UIDL_FORMAT", format);
        }
        if options.require_client_cert {
            start.env("CLIENT_CERT", "require");
        }
        let started = start.output().map_err(Error::io("cannot run", &script))?;
        if !started.status.success() {
            let said = String::from_utf8_lossy(&started.stderr);
            return Err(Error::new(format!("dovecot.sh start failed ({}):\n{said}", started.status)));
        }
        let printed = String::from_utf8_lossy(&started.stdout);
        let facts: HashMap<String, String> = printed
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let dovecot = Dovecot {
            host: facts.get("HOST").cloned().unwrap_or_default(),
            port: number(&facts, "PORT")?,
            tls_port: number(&facts, "TLS_PORT")?,
            pid: number(&facts, "PID")?,
            messages: number(&facts, "MESSAGES")?,
            folder,
            facts,
            guard,
        };
        // Where the port was taken at the last moment, the greeting came from whoever took it.
        if dovecot.runs() {
            Ok(dovecot)
        } else {
            Err(Error::new(format!("dovecot ended at once:\n{}", dovecot.log().unwrap_or_default())))
        }
    }

    fn server_folder(&self) -> PathBuf {
        self.folder.join("server")
    }
}

/// Make `at` the folder of a user's `.eml` files.
fn lay_out(mail: &Mail, at: &Path) -> Result<PathBuf> {
    let made = match mail {
        // A link, since the script takes no path with blanks and the like, and a checkout may lie anywhere.
        Mail::Folder(folder) => fs::canonicalize(folder).and_then(|folder| symlink(folder, at)),
        Mail::None => fs::create_dir(at),
        Mail::Messages(messages) => fs::create_dir(at).and_then(|()| {
            let mut numbered = messages.iter().enumerate();
            numbered.try_for_each(|(n, message)| fs::write(at.join(format!("{n:08}.eml")), message))
        }),
    };
    made.map_err(Error::io("cannot lay out the mail in", at))?;
    Ok(at.to_path_buf())
}

fn number<T: std::str::FromStr>(facts: &HashMap<String, String>, key: &str) -> Result<T> {
    let number = facts.get(key).and_then(|value| value.parse().ok());
    number.ok_or_else(|| Error::new(format!("dovecot.sh printed no number for {key}")))
}
