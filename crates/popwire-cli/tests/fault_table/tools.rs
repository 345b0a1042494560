//! The retrievers, each with its configuration.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) const USER: &str = "alice";
pub(crate) const PASSWORD: &str = "s3cret";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Popwire,
    Fetchmail,
    Getmail,
    /// With a run for each mail.
    GetmailEach,
    Mpop,
    Fdm,
}

/// Where a row takes place for one tool.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) home: PathBuf,
    pub(crate) host: String,
    pub(crate) server: SocketAddr,
    pub(crate) tls: bool,
    pub(crate) delete: bool,
}

impl Place {
    pub(crate) fn maildir(&self) -> PathBuf {
        self.home.join("Mail")
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }
}

impl Tool {
    pub(crate) const ALL: [Self; 6] =
        [Self::Popwire, Self::Fetchmail, Self::Getmail, Self::GetmailEach, Self::Mpop, Self::Fdm];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Popwire => "popwire",
            Self::Fetchmail => "fetchmail",
            Self::Getmail => "getmail6",
            Self::GetmailEach => "getmail6, one mail a run",
            Self::Mpop => "mpop",
            Self::Fdm => "fdm",
        }
    }

    /// Makes folders, and configures the tool.
    pub(crate) fn command(self, place: &Place) -> Command {
        for folder in ["tmp", "new", "cur"] {
            fs::create_dir_all(place.maildir().join(folder)).unwrap();
        }
        let mut command = match self {
            Self::Popwire => popwire(place),
            Self::Fetchmail => fetchmail(place),
            Self::Getmail => getmail(place, ""),
            Self::GetmailEach => getmail(place, "max_messages_per_session = 1\n"),
            Self::Mpop => mpop(place),
            Self::Fdm => fdm(place),
        };
        command.current_dir(&place.home).env("HOME", &place.home);
        command
    }

    /// How often it has to run for one look at the mailbox.
    pub(crate) fn runs(self) -> usize {
        if self == Self::GetmailEach { 11 } else { 1 }
    }

    /// Its memory.
    pub(crate) fn state(self, place: &Place) -> Option<PathBuf> {
        let name = match self {
            Self::Popwire => "state/ledger.sqlite3",
            Self::Fetchmail => "ids",
            Self::Getmail | Self::GetmailEach => {
                let entries = fs::read_dir(&place.home).unwrap();
                let mut paths = entries.map(|entry| entry.unwrap().path());
                return paths
                    .find(|path| path.file_name().unwrap().to_string_lossy().starts_with("oldmail-"));
            }
            Self::Mpop => "uidls",
            Self::Fdm => "cache",
        };
        Some(place.home.join(name)).filter(|path| path.exists())
    }
}

fn popwire(place: &Place) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_popwire"));
    let (scheme, plain) = if place.tls { ("pops", None) } else { ("pop", Some("--insecure-plaintext")) };
    command
        .arg("fetch")
        .arg(format!("{scheme}://{USER}@{}:{}", place.host, place.server.port()))
        .args(plain)
        .args(["--timeout", "2", "--maildir", "Mail"])
        .args(place.delete.then_some("--delete"))
        .env("POPWIRE_PASSWORD", PASSWORD)
        .env("POPWIRE_STATE", place.home.join("state"));
    command
}

fn fetchmail(place: &Place) -> Command {
    // It has no Maildir of its own: the shortest script that delivers into one as it should be done.
    let script = place.write(
        "deliver",
        "#!/bin/sh\nname=$$.$(date +%N)\ndd of=Mail/tmp/$name conv=fsync status=none && mv Mail/tmp/$name Mail/new/$name\n",
    );
    let tls = if place.tls { "ssl" } else { "sslproto \"\"" };
    let keep = if place.delete { "nokeep fetchall" } else { "keep" };
    let config = place.write(
        "fetchmailrc",
        &format!(
            "set no bouncemail\nset invisible\nset idfile \"{}/ids\"\n\
             poll {} service {} protocol POP3 uidl timeout 3 no dns\n\
             user \"{USER}\" password \"{PASSWORD}\" {tls} no rewrite {keep}\nmda \"/bin/sh {}\"\n",
            place.home.display(),
            place.host,
            place.server.port(),
            script.display()
        ),
    );
    let mut command = Command::new("fetchmail");
    command.arg("--fetchmailrc").arg(config).args(["--nosyslog", "--silent", "--pidfile"]);
    command.arg(place.home.join("pid")).env("FETCHMAILHOME", &place.home);
    command
}

fn getmail(place: &Place, options: &str) -> Command {
    let kind = if place.tls { "SimplePOP3SSLRetriever" } else { "SimplePOP3Retriever" };
    let config = place.write(
        "getmailrc",
        &format!(
            "[retriever]\ntype = {kind}\nserver = {}\nport = {}\nusername = {USER}\npassword = {PASSWORD}\ntimeout = 3\n\
             [destination]\ntype = Maildir\npath = {}/\n\
             [options]\ndelete = {}\nread_all = false\ndelivered_to = false\nreceived = false\nverbose = 0\n{options}",
            place.host,
            place.server.port(),
            place.maildir().display(),
            place.delete
        ),
    );
    let mut command = Command::new("setpriv");
    if fs::metadata("/root").is_ok() && is_root() {
        // It refuses to deliver as root.
        own(&place.home, 65534);
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    }
    command.args(["getmail", "--getmaildir"]).arg(&place.home).arg("--rcfile").arg(config);
    command
}

fn mpop(place: &Place) -> Command {
    let tls = if place.tls { "tls on\ntls_starttls off" } else { "tls off" };
    let config = place.write(
        "mpoprc",
        &format!(
            "account default\nhost {}\nport {}\nuser {USER}\npassword {PASSWORD}\nauth user\n{tls}\ntimeout 3\n\
             keep {}\nonly_new on\nreceived_header off\ndelivery maildir {}\nuidls_file {}/uidls\n",
            place.host,
            place.server.port(),
            if place.delete { "off" } else { "on" },
            place.maildir().display(),
            place.home.display()
        ),
    );
    let mut command = Command::new("mpop");
    command.arg("--file").arg(config).arg("--quiet");
    command
}

fn fdm(place: &Place) -> Command {
    let kind = if place.tls { "pop3s" } else { "pop3" };
    let keep = if place.delete { "" } else { "keep" };
    let home = place.home.display();
    // As root it fetches by a user of its own.
    fs::set_permissions(&place.home, fs::Permissions::from_mode(0o777)).unwrap();
    let config = place.write(
        "fdm.conf",
        &format!(
            "set no-received\nset lock-file \"{home}/lock\"\nset timeout 3\nset maximum-size 100M\n\
             account \"a\" {kind} server \"{}\" port {} user \"{USER}\" pass \"{PASSWORD}\" new-only cache \"{home}/cache\" \
             {keep}\naction \"deliver\" maildir \"{}\"\nmatch all action \"deliver\"\n",
            place.host,
            place.server.port(),
            place.maildir().display()
        ),
    );
    let mut command = Command::new("fdm");
    command.arg("-f").arg(config).args(["-a", "a", "fetch"]);
    command
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Gives a folder, and all that is in it, to a user.
fn own(path: &Path, user: u32) {
    std::os::unix::fs::chown(path, Some(user), Some(user)).unwrap();
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            own(&entry.unwrap().path(), user);
        }
    }
}
