//! A Kerberos realm of one's own: an MIT KDC on loopback, on a free port, and gone when the test is.
//!
//! A start takes an eighth of a second. Nothing of the system's own Kerberos is read or written. The Kerberos library
//! reads its environment whenever it is called, and that is the whole process's: so a test gives [`Kerberos::environment`]
//! to a child process, and uses Kerberos there.

use std::{
    collections::HashMap,
    fs::Permissions,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{Error, Result, guard::Guard, process, testdata};

/// A running KDC for the realm `POPWIRE.TEST`; it stops when this is dropped, or when the process ends in whatever way.
///
/// It knows alice, with the password of [`Dovecot::ALICE`](crate::dovecot::Dovecot::ALICE); `pop/localhost`, whose key
/// Dovecot can have; and `pop/other.test`, whose key nobody has.
#[derive(Debug)]
pub struct Kerberos {
    facts: HashMap<String, String>,
    /// The process of the KDC.
    pub pid: u32,
    guard: Guard,
}

impl Kerberos {
    /// Start a KDC.
    ///
    /// # Errors
    ///
    /// When its packages are not installed and we are not root to install them, or when it does not come up.
    pub fn start() -> Result<Kerberos> {
        // Another process may take the free port that the script found, before the KDC binds it.
        let taken = |error: &Error| error.to_string().contains("Address already in use");
        let mut tries = 1;
        loop {
            match Kerberos::start_once() {
                Err(error) if taken(&error) && tries < 5 => tries += 1,
                done => return done,
            }
        }
    }

    /// Lines for [`Options::extra_conf`](crate::dovecot::Options::extra_conf), by which Dovecot offers GSSAPI besides
    /// what it has, as `pop@localhost`.
    #[must_use]
    pub fn dovecot_conf(&self) -> String {
        // Dovecot looks for a user of each who comes, and for the principals that may be that user. Its replay cache would
        // be one file for the whole machine, and what it protects from is not tested here.
        format!(
            "auth_mechanisms = $auth_mechanisms gssapi\n\
             auth_krb5_keytab = {}\n\
             auth_gssapi_hostname = localhost\n\
             passdb {{\n driver = static\n mechanisms = gssapi\n args = nopassword=y k5principals=%u@{}\n}}\n\
             import_environment = $import_environment KRB5_CONFIG={} KRB5RCACHENAME=none:\n",
            self.keytab().display(),
            self.fact("REALM"),
            self.fact("KRB5_CONFIG"),
        )
    }

    /// The environment of a process that is to use this realm, with the credentials cache of `KRB5CCNAME`:
    /// [`ccache`](Self::ccache), or another.
    #[must_use]
    pub fn environment(&self, ccache: &str) -> [(&'static str, String); 2] {
        [("KRB5_CONFIG", self.fact("KRB5_CONFIG").to_owned()), ("KRB5CCNAME", ccache.to_owned())]
    }

    /// A credentials cache of alice.
    #[must_use]
    pub fn ccache(&self) -> &str {
        self.fact("CCACHE")
    }

    /// A credentials cache of alice that expires a second after the start.
    #[must_use]
    pub fn ccache_expired(&self) -> &str {
        self.fact("CCACHE_EXPIRED")
    }

    /// The keys of `pop/localhost`, readable by the user that Dovecot runs as.
    #[must_use]
    pub fn keytab(&self) -> PathBuf {
        self.fact("KEYTAB").into()
    }

    /// The keys of alice, for `KRB5_CLIENT_KTNAME`.
    #[must_use]
    pub fn client_keytab(&self) -> PathBuf {
        self.fact("CLIENT_KEYTAB").into()
    }

    /// Any of the KEY=VALUE lines of `testdata/servers/kerberos.sh`; empty where it printed none.
    #[must_use]
    pub fn fact(&self, key: &str) -> &str {
        self.facts.get(key).map_or("", String::as_str)
    }

    /// Whether the KDC still runs.
    #[must_use]
    pub fn runs(&self) -> bool {
        process::runs(self.pid)
    }

    /// Stop the KDC now and remove its files; a test drops it instead unless it wants the error.
    ///
    /// # Errors
    ///
    /// When it still runs.
    pub fn stop(mut self) -> Result<()> {
        self.guard.release();
        if self.runs() { Err(Error::new(format!("krb5kdc {} did not stop", self.pid))) } else { Ok(()) }
    }

    fn start_once() -> Result<Kerberos> {
        let script = testdata().join("servers/kerberos.sh");
        // It runs as nobody when we are root, and must reach its files: not below a home or a checkout.
        let folder = tempfile::Builder::new()
            .prefix("popwire-kerberos-")
            .permissions(Permissions::from_mode(0o755))
            .tempdir_in("/var/tmp")
            .map_err(Error::io("cannot create a folder in", Path::new("/var/tmp")))?;
        let guard = Guard::set(&script, folder.path())?;
        let folder = folder.keep();

        let mut start = Command::new(&script);
        start.arg("start").arg(folder.join("server")).env_remove("PORT").stdin(Stdio::null());
        let started = start.output().map_err(Error::io("cannot run", &script))?;
        if !started.status.success() {
            let said = String::from_utf8_lossy(&started.stderr);
            return Err(Error::new(format!("kerberos.sh start failed ({}):\n{said}", started.status)));
        }
        let printed = String::from_utf8_lossy(&started.stdout);
        let facts: HashMap<String, String> = printed
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let pid = facts.get("PID").and_then(|pid| pid.parse().ok());
        let pid = pid.ok_or_else(|| Error::new("kerberos.sh printed no number for PID"))?;
        Ok(Kerberos { facts, pid, guard })
    }
}
